"""Requests with an ``Idempotency-Key``: what one process keeps of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tornado_board.models import is_id
from tornado_board.store import KeyReused, Once
from tornado_board.web import idempotency
from tornado_board.web.idempotency import Answer, Repeats, id_of, once_of
from tornado_board.web.problems import Problem

ANSWER = Answer(201, (("Location", "/boards/b/"),), b"{}\n")


def test_an_answer_is_given_again_to_the_same_request() -> None:
    repeats = Repeats()
    first = repeats.begin(Once("k", "r"))
    assert first.answer is None
    first.keep(ANSWER)
    first.end()
    for _ in range(3):
        again = repeats.begin(Once("k", "r"))
        assert again.answer == ANSWER
        again.end()
    with pytest.raises(KeyReused):
        repeats.begin(Once("k", "other"))
    assert repeats.begin(Once("other", "r")).answer is None


def test_one_that_is_under_way_is_not_begun_again() -> None:
    repeats = Repeats()
    first = repeats.begin(Once("k", "r"))
    with pytest.raises(Problem) as caught:
        repeats.begin(Once("k", "r"))
    assert caught.value.status_code == 409
    with pytest.raises(KeyReused):
        repeats.begin(Once("k", "other"))
    first.end()
    first.end()
    # It failed: nothing is kept, and the next one may be carried out.
    assert repeats.begin(Once("k", "r")).answer is None


def test_answers_are_bounded_by_number_bytes_and_time() -> None:
    now = 0.0
    repeats = Repeats(lambda: now)

    def give(key: str, body: bytes) -> None:
        repeat = repeats.begin(Once(key, "r"))
        repeat.keep(Answer(200, (), body))
        repeat.end()

    def is_kept(key: str) -> bool:
        repeat = repeats.begin(Once(key, "r"))
        repeat.end()
        return repeat.answer is not None

    for i in range(idempotency.MOST_ANSWERS + 1):
        give(f"k{i}", b"")
    assert not is_kept("k0")
    assert is_kept("k1")
    each = 2**16
    for i in range(idempotency.MOST_BYTES // each):
        give(f"l{i}", b"x" * each)
    assert is_kept("l0")
    give("m", b"xx")
    assert not is_kept("l0")
    assert is_kept("l1")
    give("large", b"x" * (each + 1))
    assert not is_kept("large")
    assert is_kept("m")
    now = Once.KEPT
    assert not is_kept("m")


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "\x7f", "\t", "x" * 129, "a\nb", "\u2028"])
def test_what_is_no_key(key: str) -> None:
    with pytest.raises(Problem, match="visible ASCII"):
        once_of(key, "", (), (b"POST /boards?", b""))


TEXTS = st.text(st.characters(codec="utf-8"), max_size=3)
REQUESTS = st.tuples(
    TEXTS, st.lists(TEXTS, max_size=2), st.lists(st.binary(max_size=3), max_size=3)
)


@given(REQUESTS, REQUESTS)
def test_requests_are_told_apart(
    one: tuple[str, list[str], list[bytes]], other: tuple[str, list[str], list[bytes]]
) -> None:
    once, another = once_of("key", *one), once_of("key", *other)
    assert (once.key == another.key) == (one[:2] == other[:2])
    assert (once.request == another.request) == (one[2] == other[2])
    for digest in (once.key, once.request, id_of(once)):
        assert is_id(digest)
