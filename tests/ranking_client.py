"""Writes and pages of the ranking over HTTP."""

from __future__ import annotations

import json
from typing import Any

from .serving import Answer, Served

NDJSON = "application/x-ndjson"


async def post(served: Served, target: str, body: Any, **headers: str) -> Answer:
    text = body if isinstance(body, str) else json.dumps(body)
    return await served.request("POST", target, text, headers)


# Many at once


def lines(answer: Answer) -> list[Any]:
    """The results of a bulk answer."""
    if answer.headers["Content-Type"].startswith(NDJSON):
        return [json.loads(line) for line in answer.body.splitlines()]
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    found: list[Any] = answer.json()
    return found


# Pages


async def page(served: Served, target: str) -> tuple[Answer, list[tuple[str, int]]]:
    """An answer, and the ids and ranks in it."""
    answer = await served.request("GET", target)
    assert answer.status == 200, answer
    return answer, [(p["id"], p["rank"]) for p in answer.json()["players"]]


def link(answer: Answer, relation: str) -> str:
    """Where the ``Link`` of an answer leads, or an empty string."""
    for part in filter(None, answer.headers.get("Link", "").split(", ")):
        target, _, parameter = part.partition("; ")
        if parameter == f'rel="{relation}"':
            return target[1:-1]
    return ""
