"""The requests of the HTTP API as data, and what their answers say. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote, urljoin

import msgspec

from tornado_board.client.answers import ListedSeason, Operator, Page, Result, Score, Submission
from tornado_board.client.errors import ClientError, Refused
from tornado_board.client.retries import new_key, retry_after

T = TypeVar("T")

#: The most submissions, and bytes, of one request; half of what the server takes by default.
MOST_SUBMISSIONS = 5_000
MOST_BYTES = 2 * 2**20

_LINK = re.compile(r'<([^<>]*)>; rel="(next|prev)"')


@dataclass(frozen=True)
class Call:
    """A request: its path below the server's address, or a whole address, and what it carries."""

    method: str
    target: str
    query: Mapping[str, str | int] = field(default_factory=dict)
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def address(self, server: str) -> str:
        """The whole address, at the server whose address is `server`."""
        return self.target if "://" in self.target else server + self.target

    def fields(self, token: str) -> dict[str, str]:
        """The header, with `token` unless that is empty."""
        found = {"Accept": "application/json", **self.headers}
        if token:
            found["Authorization"] = f"Bearer {token}"
        return found


def path_of(board: str, player: str | None = None) -> str:
    """The path of a board, or of a player. Raises `ValueError` for what can be no id."""
    for name in (board, player):
        # Parsers of addresses take the dots for the folder itself and the one above.
        if name in ("", ".", ".."):
            raise ValueError(f"{name!r} is no id")
    path = f"boards/{quote(board, safe='')}/"
    return path if player is None else f"{path}players/{quote(player, safe='')}/"


def submit(
    board: str,
    player: str,
    score: Score,
    *,
    operator: Operator | None,
    name: str | None,
    meta: Mapping[str, Any] | None,
    season: int | None,
    key: str | None,
) -> Call:
    """One submission."""
    body = {"score": score, "operator": operator, "name": name, "meta": meta, "season": season}
    return Call(
        "POST",
        f"{path_of(board, player)}score/",
        body=msgspec.json.encode(
            {name: value for name, value in body.items() if value is not None}
        ),
        headers={"Content-Type": "application/json", "Idempotency-Key": key or new_key()},
    )


def submit_many(board: str, submissions: Iterable[Submission], key: str | None) -> Iterator[Call]:
    """Many submissions, in as many requests as it takes, each with a key made of `key`."""
    key = key or new_key()
    lines: list[bytes] = []
    size = number = 0

    def call() -> Call:
        return Call(
            "POST",
            f"{path_of(board)}scores/",
            body=b"".join(lines),
            headers={
                "Content-Type": "application/x-ndjson",
                "Accept": "application/x-ndjson, application/json",
                "Idempotency-Key": f"{key}-{number}",
            },
        )

    for submission in submissions:
        line = msgspec.json.encode(submission) + b"\n"
        if lines and (len(lines) == MOST_SUBMISSIONS or size + len(line) > MOST_BYTES):
            yield call()
            number += 1
            lines, size = [], 0
        lines.append(line)
        size += len(line)
    if lines:
        yield call()


def read(board: str, player: str | None, season: int | None) -> Call:
    """A board, or a player."""
    return Call("GET", path_of(board, player), query=_named(season=season))


def page(
    board: str,
    *,
    limit: int | None,
    around: str | None,
    from_rank: int | None,
    ids: Iterable[str] | None,
    meta: bool,
    season: int | None,
    since: datetime | str | None,
) -> Call:
    """A page of the ranking. Raises `ValueError` for a time without a zone."""
    if isinstance(since, datetime):
        if since.tzinfo is None:
            raise ValueError("since has no time zone: nobody knows when it is")
        since = since.isoformat()
    query = _named(
        limit=limit,
        around=around,
        from_rank=from_rank,
        ids=None if ids is None else ",".join(ids),
        fields="meta" if meta else None,
        season=season,
        since=since,
    )
    return Call("GET", f"{path_of(board)}players/", query=query)


def seasons(board: str, limit: int | None) -> Call:
    """The newest seasons."""
    return Call("GET", f"{path_of(board)}seasons/", query=_named(limit=limit))


def _named(**query: str | int | None) -> dict[str, str | int]:
    return {name: value for name, value in query.items() if value is not None}


def decoded(body: bytes, kind: type[T]) -> T:
    """The JSON in `body`, as a `kind`. Raises `ClientError` where it is none."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ClientError(f"the answer is not what was asked for: {error}") from error


def page_of(body: bytes, link: str, address: str) -> Page:
    """The page in the answer from `address`, with what its ``Link`` header says."""
    return msgspec.structs.replace(decoded(body, Page), **_links(link, address))


class _Seasons(msgspec.Struct):
    seasons: tuple[ListedSeason, ...]


def seasons_of(body: bytes, link: str, address: str) -> tuple[tuple[ListedSeason, ...], str | None]:
    """The seasons in the answer from `address`, and where those before them are."""
    return decoded(body, _Seasons).seasons, _links(link, address).get("next")


def _links(link: str, address: str) -> dict[str, str]:
    return {relation: urljoin(address, target) for target, relation in _LINK.findall(link)}


def results(body: bytes) -> list[Result]:
    """The results of many submissions."""
    return [decoded(line, Result) for line in body.splitlines() if line]


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Refused:
    """The error that an answer is."""
    try:
        detail = msgspec.json.decode(body)["detail"]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        detail = f"The server answered {status}."  # a proxy may say it in HTML
    return Refused(status, str(detail), retry_after(headers.get("retry-after")))
