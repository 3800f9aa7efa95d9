"""Who may do what, as a table; which boards a pattern has; how often is too often."""

from __future__ import annotations

import fnmatch
import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tornado_board.auth import rates as rates_module
from tornado_board.auth.board_patterns import MOST, BoardPatterns
from tornado_board.auth.claims import Refused, Scope, Token, token_of
from tornado_board.auth.policy import ALLOWED, Action, Allowed, Denied, Policy, decide
from tornado_board.auth.rates import BURST, Rates

ENFORCED = Policy(enforced=True)
PRIVATE = Policy(enforced=True, private=True)


def holder(scope: str, boards: list[str] | None = None, sub: str | None = None) -> Token:
    claims = {"exp": 4_000_000_000, "scope": scope, "boards": boards, "sub": sub}
    token = token_of(claims, "text", "key")
    assert isinstance(token, Token)
    return token


def outcome(decision: Allowed | Denied) -> int:
    return 200 if isinstance(decision, Allowed) else decision.status


@pytest.mark.parametrize("action", Action)
def test_without_keys_everybody_may_do_everything(action: Action) -> None:
    for token in (None, Refused("no"), holder("")):
        assert decide(Policy(enforced=False), token, action, "a", "p", private=True) is ALLOWED


@pytest.mark.parametrize("policy", [ENFORCED, PRIVATE])
def test_what_is_open_is_open_to_whoever_asks(policy: Policy) -> None:
    for token in (None, Refused("no"), holder("")):
        assert decide(policy, token, Action.OPEN) is ALLOWED


#: Which of no token and of one of each scope may do an action: on a public board, on a private one.
TABLE = {
    Action.LIST: ("none read submit write admin", "none read submit write admin"),
    Action.READ: ("none read submit write admin", "read write admin"),
    Action.SUBMIT: ("submit write admin", "submit write admin"),
    Action.WRITE: ("write admin", "write admin"),
    Action.TICKET: ("read write admin", "read write admin"),
    Action.ADMIN: ("admin", "admin"),
}


@pytest.mark.parametrize(
    ("action", "private", "who"),
    list(itertools.product(TABLE, [False, True], ["none", *Scope])),
)
def test_the_table(action: Action, private: bool, who: str) -> None:
    token = None if who == "none" else holder(who)
    decision = decide(ENFORCED, token, action, "cup", "ada", private=private)
    if who in TABLE[action][private].split():
        assert isinstance(decision, Allowed)
    else:
        assert outcome(decision) == (401 if token is None else 403)


@pytest.mark.parametrize("action", TABLE)
@pytest.mark.parametrize("who", ["none", *Scope])
def test_on_a_private_server_reading_needs_a_token_everywhere(action: Action, who: str) -> None:
    token = None if who == "none" else holder(who)
    decision = decide(PRIVATE, token, action, "cup", "ada")
    private_board = TABLE[Action.READ][True] if action is Action.LIST else TABLE[action][True]
    assert isinstance(decision, Allowed) == (who in private_board.split())


def test_it_rests_on_the_token_only_where_it_has_to() -> None:
    token = holder("read")
    assert decide(ENFORCED, token, Action.READ, "cup") is ALLOWED
    assert decide(ENFORCED, token, Action.READ, "cup", private=True) == Allowed(token)


@pytest.mark.parametrize("action", [Action.READ, Action.SUBMIT, Action.WRITE])
def test_a_token_is_for_its_boards(action: Action) -> None:
    token = holder("write", ["cup-*", "league"])
    for board, status in (("cup-7", 200), ("league", 200), ("cup", 403), ("leagues", 403)):
        assert outcome(decide(ENFORCED, token, action, board, "ada", private=True)) == status
    assert outcome(decide(ENFORCED, token, Action.READ, "other", private=False)) == 200


def test_a_token_for_a_player_submits_for_that_one_only() -> None:
    token = holder("submit", sub="ada")
    assert outcome(decide(ENFORCED, token, Action.SUBMIT, "cup", "ada")) == 200
    assert outcome(decide(ENFORCED, token, Action.SUBMIT, "cup", "bob")) == 403
    assert outcome(decide(ENFORCED, token, Action.SUBMIT, "cup", None)) == 403
    assert outcome(decide(ENFORCED, token, Action.WRITE, "cup", "ada")) == 403
    for free in (holder("submit"), holder("write", sub="ada"), holder("admin", sub="ada")):
        assert outcome(decide(ENFORCED, free, Action.SUBMIT, "cup", "bob")) == 200


@pytest.mark.parametrize("action", [*TABLE])
@pytest.mark.parametrize("private", [False, True])
def test_a_token_that_is_no_good_is_told_so(action: Action, private: bool) -> None:
    decision = decide(ENFORCED, Refused("The token has expired."), action, private=private)
    assert decision == Denied(401, "The token has expired.", "invalid_token")


def test_the_challenges_are_those_of_rfc_6750() -> None:
    none = decide(ENFORCED, None, Action.WRITE, "cup")
    assert isinstance(none, Denied)
    assert none.challenge == 'Bearer realm="tornado_board", scope="write"'
    late = decide(ENFORCED, Refused("The token has expired."), Action.WRITE, "cup")
    assert isinstance(late, Denied)
    assert late.challenge == (
        'Bearer realm="tornado_board", error="invalid_token",'
        ' error_description="The token has expired."'
    )
    less = decide(ENFORCED, holder("read"), Action.SUBMIT, "cup", "ada")
    assert isinstance(less, Denied)
    assert less.challenge == (
        'Bearer realm="tornado_board", error="insufficient_scope",'
        ' error_description="The token lacks the scope submit.", scope="submit"'
    )


# Patterns


@given(
    st.lists(st.text("ab*", min_size=1, max_size=8), max_size=4),
    st.text("ab", min_size=1, max_size=12),
)
def test_patterns_are_globs_of_stars(patterns: list[str], board: str) -> None:
    expected = any(
        re.fullmatch(fnmatch.translate(pattern), board) is not None for pattern in patterns
    )
    assert (board in BoardPatterns(patterns)) == expected


def test_every_board() -> None:
    assert BoardPatterns(None).every
    assert BoardPatterns(["a", "**"]).every
    assert "" in BoardPatterns(["*"])
    assert not BoardPatterns(["*a*"]).every
    assert "" not in BoardPatterns(["*a*"])
    assert not BoardPatterns([]).every


def test_the_worst_of_patterns_is_bounded_work() -> None:
    """No choice is taken back: a star a letter is no more work than one star."""
    worst = BoardPatterns(["*a" * 31 + "*b"] * MOST)
    assert ("a" * 64) not in worst
    assert ("a" * 63 + "b") in worst


# Rates


def test_as_often_as_the_rate_and_ten_seconds_worth_at_once() -> None:
    rates = Rates(2)
    for _ in range(int(2 * BURST)):
        assert rates.wait("a", 100.0) == 0
        rates.take("a", 100.0)
    assert rates.wait("a", 100.0) == 0.5
    assert rates.wait("a", 100.25) == 0.25
    assert rates.wait("a", 100.5) == 0
    assert rates.wait("b", 100.0) == 0
    rates.take("a", 100.5)
    assert rates.wait("a", 1000.0) == 0
    rates.take("a", 1000.0, 2 * BURST)
    assert rates.wait("a", 1000.0) == 0.5, "it holds no more than ten seconds' worth"


def test_much_at_once_is_let_through_and_paid_for_later() -> None:
    rates = Rates(10)
    rates.take("a", 0.0, 1000)
    assert rates.wait("a", 0.0) == pytest.approx(90.1)


def test_a_rate_of_nothing_is_no_limit() -> None:
    rates = Rates(0)
    for _ in range(1000):
        rates.take("a", 0.0)
    assert rates.wait("a", 0.0) == 0
    assert len(rates) == 0


def test_a_slow_rate_lets_one_through() -> None:
    rates = Rates(0.01)
    assert rates.wait("a", 0.0) == 0
    rates.take("a", 0.0)
    assert rates.wait("a", 0.0) == pytest.approx(100)
    assert rates.wait("a", 100.0) == 0


def test_a_clock_that_steps_back_takes_nothing() -> None:
    rates = Rates(1)
    rates.take("a", 100.0)
    assert rates.wait("a", 50.0) == 0


def test_the_buckets_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates_module, "MOST_BUCKETS", 3)
    rates = Rates(1)
    for who in "abcd":
        rates.take(who, 0.0, 100)
        rates.take("a", 0.0)
    assert len(rates) == 3
    assert rates.wait("a", 0.0) > 0
    assert rates.wait("b", 0.0) == 0, "the one that was unused longest was forgotten"
