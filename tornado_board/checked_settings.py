"""Whether settings may be what they are."""

from __future__ import annotations

import dataclasses
from typing import Any, get_type_hints

from tornado_board.cluster.keys import check_prefix
from tornado_board.setting_checks import (
    check_base_path,
    check_cookie_name,
    check_frame_ancestors,
    shown,
)
from tornado_board.settings import Settings, SettingsError

#: The fields of `Settings`, and their types, by name.
TYPES = get_type_hints(Settings)
FIELDS = {f.name: f for f in dataclasses.fields(Settings)}


def check(name: str, where: str, value: Any) -> None:
    """Raise `SettingsError`, which calls it `where`, unless the setting `name` may be `value`."""
    limits = FIELDS[name].metadata
    if limits["low"] is not None and not limits["low"] <= value <= limits["high"]:
        text = shown(str(value)).strip("'")
        raise SettingsError(f"{where}: {text} is out of range; expected {expected(name)}")
    if limits["choices"] and value not in limits["choices"]:
        raise SettingsError(f"{where}: {shown(value)} is not known; expected {expected(name)}")


def expected(name: str) -> str:
    """What the setting `name` takes, in words."""
    limits = FIELDS[name].metadata
    if limits["choices"]:
        *most, last = limits["choices"]
        return f"{', '.join(most)} or {last}"
    if limits["low"] is None:
        return "true or false"
    number = "a whole number" if TYPES[name] is int else "a number"
    return f"{number} from {limits['low']:.12g} to {limits['high']:.12g}"


def checked(settings: Settings) -> Settings:
    """`settings`, if each lies within its bounds. Raises `SettingsError` naming the one that
    doesn't."""
    for name in FIELDS:
        check(name, name, getattr(settings, name))
    try:
        check_prefix(settings.redis_prefix)
    except ValueError as error:
        raise SettingsError(f"redis_prefix: {settings.redis_prefix!r} {error}") from None
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise SettingsError("tls_certificate and tls_key go together; one of them is not set")
    last = settings.metrics_port + settings.processes - 1
    if settings.metrics_port and last > 65535:
        raise SettingsError(
            f"metrics_port: {settings.processes} processes would need the ports up to {last}"
        )
    for name, check_text in (
        ("base_path", check_base_path),
        ("token_cookie", check_cookie_name),
        ("frame_ancestors", check_frame_ancestors),
    ):
        try:
            check_text(getattr(settings, name))
        except ValueError as error:
            raise SettingsError(f"{name}: {error}") from None
    if settings.private and not settings.takes_tokens:
        raise SettingsError(
            "private: without token_secret, token_secret_file or token_keys nobody could read"
        )
    if settings.upstream:
        _check_upstream(settings)
    return settings


def _check_upstream(settings: Settings) -> None:
    """Raise `SettingsError` for what a server can't be that follows another one."""
    default = Settings()
    if settings.database_url != default.database_url:
        raise SettingsError(
            "database_url and upstream: a server that follows another one has no database; set one"
            " of the two"
        )
    if settings.takes_tokens:
        raise SettingsError(
            "token_secret, token_secret_file, token_keys and upstream: the server that is followed"
            " verifies tokens; set them there"
        )
