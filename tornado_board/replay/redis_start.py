"""What can be known of a Redis server before anything depends on it."""

from __future__ import annotations

import re
import ssl
from typing import Any

from redis.exceptions import (
    AuthenticationError,
    NoScriptError,
    RedisError,
    ResponseError,
)

from tornado_board.cluster.keys import Keys
from tornado_board.replay import LogRefused, LogUnavailable
from tornado_board.replay.redis_link import (
    TIMEOUT,
    RedisLink,
    Script,
    close_pubsub,
    info_fields,
)
from tornado_board.tasks import time_limit

_OLDEST = (6, 2)

#: The start of the errors with which a server says that it takes no writes for now.
_PASSING = ("READONLY", "MASTERDOWN", "OOM", "MISCONF", "NOREPLICAS", "LOADING", "CLUSTERDOWN")

_TRIAL = Script("trial")

#: What a server says to a user without the right, in scripts of several versions and without.
_DENIED = re.compile(r"NOPERM|no permission|ACL failure|can't (run|access|publish)", re.IGNORECASE)


class _Unfit(LogRefused):
    """The server can't keep the log, and nothing that passes by itself is the reason."""


async def check_server(link: RedisLink, keys: Keys) -> str | None:
    """Find out whether the server can keep the log, by doing what the log will do.

    Returns ``None``, or what keeps it from that for now: it is away, still loading, full, or a
    replica. Raises `LogUnavailable`, with one line, for what does not pass by itself: a wrong
    password or certificate, a version that is too old, a cluster, rights that this user lacks.
    """
    try:
        return await _check(link, keys)
    except _Unfit:
        raise
    except LogUnavailable as error:
        cause = error.__cause__
        if isinstance(cause, AuthenticationError | ResponseError):
            raise
        if certificate := link.tls and _certificate_error(cause):
            raise _Unfit(
                f"{link.description}: the server's certificate can't be checked: {certificate}"
            ) from error
        return str(error)


async def _check(link: RedisLink, keys: Keys) -> str | None:
    commands: list[tuple[Any, ...]] = [
        ("PING",),
        ("INFO", "server"),
        ("INFO", "cluster"),
        ("INFO", "replication"),
        ("EVAL", _TRIAL.text, 1, keys.trial, keys.lease_channel),
        ("EVALSHA", _TRIAL.sha, 1, keys.trial, keys.lease_channel),
        ("XREVRANGE", keys.trial, "+", "-", "COUNT", 1),
        ("XTRIM", keys.trial, "MAXLEN", "=", 0),
        ("PUBLISH", keys.wanted, ""),
        ("PUBSUB", "NUMSUB", keys.wanted),
        ("PUBSUB", "CHANNELS", keys.trial),
        ("SCAN", 0, "MATCH", keys.trial, "COUNT", 1),
    ]
    replies = await link.send(*commands)
    info = info_fields("\n".join(reply for reply in replies[1:4] if isinstance(reply, str)))
    version = re.match(r"(\d+)\.(\d+)", info.get("redis_version", ""))
    if version is not None and (int(version[1]), int(version[2])) < _OLDEST:
        found = info["redis_version"]
        raise _Unfit(f"{link.description} is version {found}; 6.2 or newer is needed")
    if info.get("cluster_enabled") == "1":
        raise _Unfit(
            f"{link.description} is a node of a cluster; a single server is needed, or a master"
            " with replicas"
        )
    errors = [
        (command[0].lower(), f"{getattr(reply, 'status_code', None) or ''} {reply}".strip())
        for command, reply in zip(commands, replies, strict=True)
        if isinstance(reply, ResponseError) and not isinstance(reply, NoScriptError)
    ]
    if isinstance(replies[4], str):
        for line in replies[4].splitlines():
            command, _, text = line.partition(" ")
            errors.append((command, text))
    errors += await _subscribe(link, keys)
    lacking = [_right(command, text) for command, text in errors if _DENIED.search(text)]
    if lacking:
        raise _Unfit(
            f"{link.description}: this user lacks rights: {', '.join(dict.fromkeys(lacking))};"
            " docs/redis.md has the ACL that is needed"
        )
    if info.get("role") in ("slave", "replica"):
        return f"{link.description} is a read-only replica"
    for _, text in errors:
        if any(code in text for code in _PASSING):
            return f"{link.description}: {text}"
        raise _Unfit(f"{link.description} can't keep the log: {text}")
    return None


async def _subscribe(link: RedisLink, keys: Keys) -> list[tuple[str, str]]:
    """Try to listen, and to stop; what the server says to that, if it is an error."""
    pubsub = link.pubsub()
    command = "subscribe"
    try:
        async with time_limit(TIMEOUT):
            await pubsub.subscribe(keys.wanted)
            await pubsub.get_message(timeout=TIMEOUT)
            command = "unsubscribe"
            await pubsub.unsubscribe(keys.wanted)
            await pubsub.get_message(timeout=TIMEOUT)
        return []
    except ResponseError as error:
        return [(command, f"{getattr(error, 'status_code', None) or ''} {error}".strip())]
    except (RedisError, OSError, TimeoutError):
        return []  # it has just gone away
    finally:
        await close_pubsub(pubsub)


def _right(command: str, text: str) -> str:
    """Which right it is whose lack `text` tells of."""
    if "channel" in text:
        return "the channels (&prefix*)"
    if "keys" in text:
        return "the keys (~prefix*)"
    return f"+{command}"


def _certificate_error(error: BaseException | None) -> str | None:
    """What is wrong with the TLS of a connection, for as long as nobody changes it."""
    seen = 0
    while error is not None and seen < 10:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        if isinstance(error, ssl.SSLError) and not isinstance(
            error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError
        ):
            return str(error.reason or error)
        if isinstance(error, FileNotFoundError):
            return f"{error.strerror}: the file that the URL names"
        error, seen = error.__cause__ or error.__context__, seen + 1
    return None
