"""Keys that tokens are signed and verified with, and how files spell them.

The kind of a key says the one algorithm that it is good for; what a token or a JWK says of it can
only agree. So a public key is never taken for a secret, and ``none`` is no key's algorithm.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Any

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

#: The fewest bytes of a secret: those of the digest (RFC 7518, section 3.2).
SHORTEST_SECRET = 32

#: The fewest bits of an RSA key (RFC 7518, section 3.3).
SHORTEST_RSA = 2048

#: The most keys that a JWKS may have, and secrets that a file may have.
MOST_KEYS = 32
MOST_SECRETS = 3

ALGORITHMS = ("HS256", "EdDSA", "ES256", "RS256")

_PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class BadKey(ValueError):
    """Not a key, or none that is taken. `str(error)` says why, and shows nothing of it."""


class Key(msgspec.Struct, frozen=True):
    """A key, and the algorithm that it is good for."""

    algorithm: str
    #: What PyJWT takes: bytes of a secret, or a public key.
    material: Any
    #: Which key it is, for those who share it; nothing can be done with it.
    thumbprint: str
    #: Its id in a JWKS; ``None`` where it has none.
    id: str | None = None

    def __repr__(self) -> str:
        """Without the key."""
        return f"Key({self.algorithm})"


def secret_key(secret: str) -> Key:
    """The key of a secret. Raises `BadKey`."""
    material = secret.encode()
    if len(material) < SHORTEST_SECRET:
        raise BadKey(
            f"has {len(material)} bytes; a secret has {SHORTEST_SECRET} or more, such as those of"
            " python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    if len(set(material)) < 8:
        raise BadKey("is the same few characters again and again; a secret is made by chance")
    try:
        jwt.get_algorithm_by_name("HS256").prepare_key(material)
    except jwt.PyJWTError:
        raise BadKey("looks like a key file; a public key belongs in token_keys") from None
    return Key("HS256", material, _digest(b"secret", material))


def secret_keys(text: str) -> list[Key]:
    """The keys of a file with a secret a line; the first one signs. Raises `BadKey`."""
    secrets = [line.strip() for line in text.splitlines() if line.strip()]
    if not secrets:
        raise BadKey("is empty; expected a secret, or one on each line")
    if len(secrets) > MOST_SECRETS:
        raise BadKey(f"has {len(secrets)} lines; {MOST_SECRETS} secrets are the most")
    return [secret_key(secret) for secret in secrets]


def public_keys(data: bytes, skipped: list[str] | None = None) -> list[Key]:
    """The keys in `data`: PEM with a public key, a JWK or a JWKS (RFC 7517). Raises `BadKey`.

    Of a JWKS what is no key for a signature that is taken here is passed over, as section 5 says;
    why is added to `skipped`.
    """
    if b"-----BEGIN" in data[:1024]:
        if b"PRIVATE KEY-----" in data:
            raise BadKey("holds a private key; the server needs the public one only")
        try:
            return [_key(_checked(serialization.load_pem_public_key(data)))]
        except (ValueError, UnsupportedAlgorithm):
            raise BadKey("is not PEM with a public key") from None
    try:
        decoded = msgspec.json.decode(data)
    except (ValueError, RecursionError):
        raise BadKey("is neither PEM nor JSON") from None
    entries = decoded.get("keys", [decoded]) if isinstance(decoded, dict) else None
    if not isinstance(entries, list):
        raise BadKey("is not a JWKS: an object with an array of keys")
    if len(entries) > MOST_KEYS:
        raise BadKey(f"has {len(entries)} keys; the most is {MOST_KEYS}")
    found = []
    for number, entry in enumerate(entries, 1):
        try:
            found.append(_of_jwk(entry))
        except BadKey as error:
            if skipped is not None:
                skipped.append(f"key {number} {error}")
    if not found:
        raise BadKey("has no key that is taken here: Ed25519, P-256, or RSA of 2048 bits or more")
    return found


def private_key(data: bytes) -> tuple[str, Any]:
    """The algorithm and the key of PEM with a private key, for who signs. Raises `BadKey`."""
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKey("is not PEM with a private key without a passphrase") from None
    if not hasattr(key, "public_key"):
        raise BadKey("is of a kind that is not taken here")
    return _algorithm(_checked(key.public_key())), key


def _of_jwk(entry: Any) -> Key:
    if not isinstance(entry, dict):
        raise BadKey("is no object")
    if entry.get("kty") == "oct":
        raise BadKey("is a secret, which no JWKS should show")
    if entry.get("use", "sig") != "sig" or "verify" not in _operations(entry):
        raise BadKey("is not for signatures")
    identity = entry.get("kid")
    if identity is not None and not isinstance(identity, str):
        raise BadKey("has a kid that is not a text")
    public = {name: value for name, value in entry.items() if name in _PUBLIC_MEMBERS}
    try:
        key = _checked(_by_kind(public).from_jwk(public))
    except BadKey:
        raise
    except Exception:  # the libraries have many ways to say so
        raise BadKey("is not a key that is taken here") from None
    if entry.get("alg", _algorithm(key)) != _algorithm(key):
        raise BadKey("is for an algorithm that is not taken here")
    return msgspec.structs.replace(_key(key), id=identity)


#: What a public key consists of; the rest of an entry says how to use it, or is private.
_PUBLIC_MEMBERS = frozenset(("kty", "crv", "x", "y", "n", "e"))


def _operations(entry: dict[str, Any]) -> Iterable[Any]:
    operations = entry.get("key_ops", ["verify"])
    return operations if isinstance(operations, list) else ()


def _by_kind(entry: dict[str, Any]) -> Any:
    """What of PyJWT reads such an entry. Raises `BadKey`."""
    algorithm = {"OKP": "EdDSA", "EC": "ES256", "RSA": "RS256"}.get(str(entry.get("kty")))
    if algorithm is None:
        raise BadKey("is of a kind that is not taken here")
    return jwt.get_algorithm_by_name(algorithm)


def _checked(key: Any) -> _PublicKey:
    """`key`, if it is a public key that is taken. Raises `BadKey`."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < SHORTEST_RSA:
            raise BadKey(f"has {key.key_size} bits; an RSA key has {SHORTEST_RSA} or more")
        return key
    raise BadKey("is of a kind that is not taken here: Ed25519, P-256 or RSA")


def _algorithm(key: _PublicKey) -> str:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "EdDSA"
    return "ES256" if isinstance(key, ec.EllipticCurvePublicKey) else "RS256"


def _key(key: _PublicKey) -> Key:
    spelled = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Key(_algorithm(key), key, _digest(b"public", spelled))


def _digest(kind: bytes, material: bytes) -> str:
    return hmac.new(material, b"tornado_board " + kind, hashlib.sha256).hexdigest()[:16]
