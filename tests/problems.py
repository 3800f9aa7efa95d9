"""Answers that are problems, as RFC 9457 has them."""

from __future__ import annotations

import pytest

from .serving import Answer

SLASHES = pytest.mark.parametrize("slash", ["", "/"])


def problem(answer: Answer, status: int | None = None) -> str:
    """The detail of a problem, which is checked to be one and to tell nothing of the server.

    Args:
        answer: what came.
        status: what it has to be; any if None.
    """
    assert status is None or answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json; charset=utf-8"
    body = answer.json()
    assert set(body) == {"type", "title", "status", "detail"}
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body["status"] == answer.status
    for inside in ("Traceback", "msgspec", "tornado", ".py", "sqlite"):
        assert inside not in body["detail"]
    assert 10 < len(body["detail"]) < 300
    detail: str = body["detail"]
    return detail
