"""What can be known of a Redis server before anything depends on it."""

from __future__ import annotations

import re
import ssl
from typing import Any

from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    ResponseError,
)

from tornado_board.cluster.keys import Keys
from tornado_board.replay import LogRefused, LogUnavailable
from tornado_board.replay.redis_link import TIMEOUT, RedisLink, Script, info_fields

_OLDEST = (6, 2)

#: The start of the errors with which a server says that it takes no writes for now.
_PASSING = ("READONLY", "MASTERDOWN", "OOM", "MISCONF", "NOREPLICAS", "LOADING", "CLUSTERDOWN")

_TRIAL = Script("trial")

_COMMAND = re.compile(r"'([a-z|]{1,40})' command|run the '([a-z|]{1,40})'")


async def check_server(link: RedisLink, keys: Keys) -> str | None:
    """Find out whether the server can keep the log, by doing what the log will do.

    Returns ``None``, or what keeps it from that for now: it is away, still loading, full, or a
    replica. Raises `LogUnavailable`, with one line, for what does not pass by itself: a wrong
    password or certificate, a version that is too old, a cluster, rights that this user lacks.
    """
    try:
        return await _check(link, keys)
    except LogUnavailable as error:
        cause = error.__cause__
        if isinstance(cause, AuthenticationError | ResponseError):
            raise
        if certificate := _certificate_error(cause):
            raise LogRefused(
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
        raise LogRefused(f"{link.description} is version {found}; 6.2 or newer is needed")
    if info.get("cluster_enabled") == "1":
        raise LogRefused(
            f"{link.description} is a node of a cluster; a single server is needed, or a master"
            " with replicas"
        )
    trial = replies[4].split("\n") if isinstance(replies[4], str) else [str(replies[4])]
    errors = [*filter(None, trial)]
    for reply in replies:
        if isinstance(reply, NoPermissionError):
            errors.append(f"NOPERM {reply}")
        elif isinstance(reply, ResponseError):
            errors.append(f"{getattr(reply, 'status_code', None) or ''} {reply}".strip())
    errors += await _subscribe(link, keys)
    lacking = [_right(error) for error in errors if "permission" in error or "NOPERM" in error]
    if lacking:
        raise LogRefused(
            f"{link.description}: this user lacks rights: {', '.join(dict.fromkeys(lacking))};"
            " docs/redis.md has the ACL that is needed"
        )
    if info.get("role") in ("slave", "replica"):
        return f"{link.description} is a read-only replica"
    for error in errors:
        if any(code in error for code in _PASSING):
            return f"{link.description}: {error}"
        raise LogRefused(f"{link.description} can't keep the log: {error}")
    return None


async def _subscribe(link: RedisLink, keys: Keys) -> list[str]:
    """Try to listen; what the server says to that, if it is an error."""
    pubsub = link.pubsub()
    try:
        await pubsub.subscribe(keys.wanted)
        await pubsub.get_message(timeout=TIMEOUT)
        return []
    except NoPermissionError as error:
        return [f"NOPERM {error}"]
    except ResponseError as error:
        return [str(error)]
    finally:
        pool = pubsub.connection_pool
        await pubsub.aclose()  # type: ignore[no-untyped-call]
        await pool.aclose()


def _right(error: str) -> str:
    """Which right it is whose lack `error` tells of."""
    command = _COMMAND.search(error)
    if command is not None:
        return f"+{command[1] or command[2]}"
    if "channel" in error:
        return "the channels (&prefix*)"
    if "key" in error:
        return "the keys (~prefix*)"
    return error


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
        error, seen = error.__cause__ or error.__context__, seen + 1
    return None
