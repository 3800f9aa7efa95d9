"""Many submissions in one body are judged as strictly as one by itself, whichever way."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tornado_board.inputs import UNSET, Submission
from tornado_board.models import Player
from tornado_board.realtime.ranks import Standing
from tornado_board.store import Submitted
from tornado_board.web import bulk
from tornado_board.web.bodies import JSON, decode_object
from tornado_board.web.bulk import NDJSON
from tornado_board.web.problems import Problem

TEXTS = st.text(st.characters(exclude_categories=()), max_size=20)
NAMES = st.sampled_from(["x", "Jérôme", "a b", " ", "\u200b", 'q"uote', "back\\slash", "\ud800x"])
NUMBERS = st.integers() | st.floats() | st.sampled_from([0, -0.0, 2.0**53, 1e400, 2**53 + 1, 0.1])
METAS = st.sampled_from([{}, {"a": 1.0}, {"a": {"b": [None, "x"]}}, {"$reql_type$": "TIME"}, []])
VALUES = NUMBERS | TEXTS | NAMES | METAS | st.sampled_from([None, True, "best", "set", "add"])

#: Members of an object, of which several may have the same name.
PAIRS = st.lists(
    st.tuples(st.just("id"), st.sampled_from(["a", "p1", "", ".", "..", "a b"]) | VALUES)
    | st.tuples(st.just("score"), NUMBERS | VALUES)
    | st.tuples(st.just("name"), NAMES | TEXTS)
    | st.tuples(st.just("operator"), st.sampled_from(["best", "set", "add", "sum"]) | VALUES)
    | st.tuples(st.just("meta"), METAS)
    | st.tuples(st.sampled_from(["ID", "season", "", "na\\me", 'q"', "rank"]), VALUES),
    max_size=6,
)

#: What is plainly right, so that most of what is generated is not refused.
PLAIN = st.tuples(
    st.sampled_from(["a", "p1", "x" * 64]),
    st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9),
).map(lambda both: [("id", both[0]), ("score", both[1])])


def spelled(pairs: list[tuple[str, Any]], ascii_only: bool) -> bytes:
    """A JSON object with these members, in this order."""

    def text(value: Any) -> str:
        return json.dumps(value, ensure_ascii=ascii_only)

    members = (f"{text(name)}: {text(value)}" for name, value in pairs)
    return f"{{{', '.join(members)}}}".encode("utf-8", "surrogatepass")


def strictly(text: bytes) -> Submission | Problem:
    """What the way of single bodies makes of it."""
    try:
        return decode_object(text, Submission, "The submission")
    except Problem as problem:
        return problem


def same(one: Submission | Problem, other: Submission | Problem) -> bool:
    if isinstance(one, Problem) or isinstance(other, Problem):
        return type(one) is type(other)
    return repr(one) == repr(other)  # 1 and 1.0 are not the same here


def check(text: bytes) -> None:
    found, expected = bulk.submission(text), strictly(text)
    assert same(found, expected), (text, found, expected)
    if isinstance(found, Problem):
        assert found.status_code == 400
        assert 10 < len(found.detail) < 300
        assert found.detail.isprintable()


def nth(pairs: tuple[list[tuple[str, Any]], list[tuple[str, Any]]]) -> list[tuple[str, Any]]:
    return pairs[0] + pairs[1]


@settings(deadline=None, max_examples=400)
@given(PAIRS | PLAIN | st.tuples(PLAIN, PAIRS).map(nth), st.booleans())
@example([("id", "a"), ("score", 1), ("score", 2)], True)
@example([("id", "a"), ("id", "a"), ("score", 1)], True)
@example([("id", "a"), ("score", 1), ("name", "x"), ("name", "y")], True)
@example([("id", "a"), ("score", 1), ("operator", "add"), ("operator", "add")], True)
@example([("id", "a"), ("score", 1), ("name", 'a"b')], True)
@example([("id", "a"), ("score", 1), ("name", 'a"b"c'), ("name", "x")], True)
@example([("id", "a"), ("score", 1), ("name", "\\"), ("score", 1)], True)
@example([("id", "a"), ("score", 1), ("name", "\ud800")], True)
@example([("id", "a"), ("score", 1), ("name", "\ud800")], False)
@example([("id", "a"), ("score", 1), ("name", "\ud83d\ude00")], False)
@example([("id", "a"), ("score", 3.0)], False)
@example([("id", "a"), ("score", -0.0)], False)
def test_any_object(pairs: list[tuple[str, Any]], ascii_only: bool) -> None:
    check(spelled(pairs, ascii_only))


@settings(deadline=None)
@given(st.binary(max_size=60) | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b'{"id":"a","score":1}x')
@example(b'{"id":"a","sc\\u006fre":1,"score":2}')
@example(b'{"id":"a","score":1,"name":"\\u0022","name":"x"}')
@example(b'{"id":"a","score":1,"name":"\\u00e9"}')
@example(b'{"id":"a","score":1,"name":"\xff"}')
@example(b'{"id":"a","score":1,"name":"a\x01"}')
@example(b'{"id":"a","score":' + b"9" * 16_000 + b"}")
@example(b'{"id":"a","score":0.' + b"0" * 16_000 + b"1}")
@example(b'\xef\xbb\xbf{"id":"a","score":1}')
@example(b'\t {"score":1E2\r,"id":"a"} ')
@example(b"[" * 16_000)
@example(b'{"id":' * 2_000)
@example(b'{"id":"a","score":1,"meta":' + b'{"a":' * 3_000 + b"}" * 3_001)
def test_any_bytes(text: bytes) -> None:
    check(text)


@settings(deadline=None)
@given(st.floats(-(2.0**53), 2.0**53) | st.integers(-(2**53), 2**53), st.sampled_from("eEf."))
def test_any_number(number: float, form: str) -> None:
    text = repr(number) if form == "." else f"{number:.17{form}}"
    check(f'{{"id":"a","score":{text}}}'.encode())


def read(body: bytes, content_type: str = JSON) -> list[Submission | Problem]:
    return asyncio.run(bulk.submissions(body, content_type))


RIGHT = b'{"id":"a","score":1}'
WRONG = [
    b'{"id":"a","score":NaN}',
    b'{"id":"a","score":1,"score":1}',
    b'{"id":"a","score":1,"name":"\\ud800"}',
    b'{"id":"a","score":1,"name":"\xff"}',
    b'{"id":"a","score":1e400}',
    b'{"id":"a"}',
    b"null",
    b"[]",
    b'"a"',
    b"NaN",
    b'{"id":"a","score":1,"name":"' + b"x" * bulk.MOST_BYTES + b'"}',
    b'{"id":"a","score":1' + b" " * bulk.MOST_BYTES + b"}",
    b'{"id":"a",%b"name":"}","score":1%b}' % (2 * (b" " * (bulk.MOST_BYTES // 2),)),
]


@pytest.mark.parametrize("content_type", [JSON, NDJSON])
@pytest.mark.parametrize("wrong", WRONG)
def test_one_that_is_wrong_leaves_the_others(wrong: bytes, content_type: str) -> None:
    items = [RIGHT, wrong, RIGHT]
    if content_type == JSON:
        body = b" [ " + b" ,\n".join(items) + b"\n]\n"
    else:
        body = b"\r\n\n".join(items) + b"\n"
    first, second, third = read(body, content_type)
    assert first == third == Submission(id="a", score=1)
    assert isinstance(second, Problem)
    assert second.status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        *(b"{}", b"null", b'"x"', b"1", b"[", b"[1", b"[1,", b"[1,]", b"[1]]", b"[1] 2", b"[1 2]"),
        *(
            b"nonsense",
            b"\xff",
            b"\x00",
            b"[,1]",
            b"[" * 100_000,
            b"[{" * 50_000,
            b"\xef\xbb\xbf[]",
        ),
        *(b'[NaN, {"id": "a"', b'["\\ud800" 1]', b"[NaN] x", b"[NaN,]", b" ", b"]", b"[}"),
        RIGHT,
        RIGHT + b"\n" + RIGHT,
    ],
)
def test_what_is_no_array(body: bytes) -> None:
    with pytest.raises(Problem) as caught:
        read(body)
    assert caught.value.status_code == 400
    assert len(caught.value.detail) < 300


@pytest.mark.parametrize(
    "body",
    [b"nonsense", b"\n", b"\n\n", b"\xff\xfe\x00", b"{\n}", "é".encode("utf-16"), b"[1\n,2]"],
)
def test_what_is_no_ndjson(body: bytes) -> None:
    with pytest.raises(Problem, match="NDJSON"):
        read(body, NDJSON)


def test_an_empty_array_hands_in_nothing() -> None:
    assert read(b"[]") == read(b" [ \n] ") == []


def test_how_many_there_may_be() -> None:
    most = bulk.MOST_SUBMISSIONS
    for content_type, between in ((JSON, b","), (NDJSON, b"\n")):
        items = between.join([RIGHT] * most)
        more = items + between + RIGHT
        if content_type == JSON:
            items, more = b"[%s]" % items, b"[%s]" % more
        assert len(read(items, content_type)) == most
        with pytest.raises(Problem) as caught:
            read(more, content_type)
        assert caught.value.status_code == 413
    with pytest.raises(Problem) as caught:
        read(b"\n" * (most + 1), NDJSON)
    assert caught.value.status_code == 413
    with pytest.raises(Problem) as caught:
        read(b"[" + b"NaN," * most + b"NaN]")
    assert caught.value.status_code == 413


@pytest.mark.parametrize("body", [b"[" + RIGHT + b"," + RIGHT * 2 + b"]", b"[NaN,1 2]"])
def test_where_an_array_is_wrong(body: bytes) -> None:
    with pytest.raises(Problem) as caught:
        read(body)
    with pytest.raises(json.JSONDecodeError) as expected:
        json.loads(body)
    assert f"column {expected.value.colno}." in caught.value.detail
    assert expected.value.msg in caught.value.detail


@pytest.mark.parametrize("content_type", [JSON, NDJSON])
def test_results_come_in_order(content_type: str) -> None:
    outcomes: list[Submitted | Problem] = [
        Submitted(Player("a", "Ä/\u2028", 0.5), None, True),
        Problem(422, "out of range"),
        *(Submitted(Player(f"p{i}", "P", i), i - 1, i % 2 == 0) for i in range(500)),
    ]

    def standing(*scores: float) -> Standing:
        return Standing(700, tuple(int(2 * score) for score in scores))

    results = bulk.results(outcomes, standing)
    body = asyncio.run(bulk.answer(results, content_type))
    assert body.endswith(b"\n")
    lines = json.loads(body) if content_type == JSON else [json.loads(x) for x in body.splitlines()]
    assert len(lines) == len(outcomes)
    assert lines[0] == {
        **{"status": 201, "id": "a", "name": "Ä/\u2028", "score": 0.5},
        **{"changed": True, "previous": None, "rank": 2, "of": 700},
    }
    assert lines[1] == {"status": 422, "detail": "out of range"}
    assert (lines[5]["status"], lines[5]["previous"], lines[5]["rank"]) == (200, {"score": 2}, 7)


def test_a_rank_that_is_not_known_is_left_out() -> None:
    outcome = Submitted(Player("a", "A", 1), 0, True)
    (result,) = bulk.results([outcome], lambda *_: None)
    assert not {"rank", "of"} & set(msgspec.to_builtins(result))


def test_plain_ones_take_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(bulk, "decode_object", never)
    for text in (
        RIGHT,
        b'{"id": "a", "score": 1.5, "name": "J\\u00e9r\\u00f4me", "operator": "add"}',
        '{"id":"a","score":1,"name":"Jérôme"}'.encode(),
    ):
        found = bulk.submission(text)
        assert isinstance(found, Submission)
        assert found.meta is UNSET


@pytest.mark.gen_test
async def test_others_have_their_turn_meanwhile() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(other())
    await asyncio.sleep(0)
    # With an object within it, msgspec leaves each to the strict way.
    slow = b'{"id":"a","score":1,"meta":{"a":[1,2,3]}}'
    assert len(await bulk.submissions(b"\n".join([slow] * 5_000), NDJSON)) == 5_000
    task.cancel()
    assert turns > 5
