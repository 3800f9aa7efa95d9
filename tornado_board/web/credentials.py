"""What a request presents in the fields of its header."""

from __future__ import annotations


def bearer_in(authorization: str | None) -> str | None:
    """The token in an ``Authorization`` field (RFC 6750, section 2.1); ``None`` where it is of
    another scheme: a proxy in front may have one of its own."""
    if authorization is None:
        return None
    scheme, _, token = authorization.strip(" \t").partition(" ")
    return token.strip(" ") if scheme.lower() == "bearer" else None


def cookie_in(field: str | None, name: str) -> str | None:
    """The value of the cookie `name` in a ``Cookie`` field (RFC 6265, section 5.4), the first one
    if there are several; empty ones are none."""
    if not field or not name or name not in field:
        return None
    for pair in field.split(";"):
        key, _, value = pair.partition("=")
        if key.strip(" \t") == name:
            return value.strip(' \t"') or None
    return None
