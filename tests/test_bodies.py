"""Whatever a body is made of, it is decoded into what the rules allow, or refused as a problem."""

from __future__ import annotations

import json
import math
import unicodedata
import urllib.parse
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tornado_board.inputs import (
    Addition,
    BoardPatch,
    NewBoard,
    NewPlayer,
    PlayerPatch,
    Score,
    SeasonPlan,
    Submission,
)
from tornado_board.models import SCORE_LIMIT, is_id
from tornado_board.visible import is_visible
from tornado_board.web.bodies import FORM, decode
from tornado_board.web.problems import Problem

EVERY_TYPE = [NewBoard, BoardPatch, NewPlayer, PlayerPatch, Addition, Score, Submission]
TYPES = st.sampled_from(EVERY_TYPE)

NUMBERS = st.integers() | st.floats()
TEXTS = st.text(st.characters(exclude_categories=()), max_size=250)
WORDS = st.sampled_from(["desc", "asc", "id", "first", "best", "set", "add", "x"])
METAS = st.dictionaries(
    TEXTS,
    st.recursive(
        st.none() | st.booleans() | NUMBERS | TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)
OTHERS = st.sampled_from([None, True, False, [], {}, ["x"], ["meta"], {"name": "x"}])
VALUES = OTHERS | NUMBERS | TEXTS | WORDS | METAS
SETTINGS = ["order", "ties", "operator", "top", "min", "max", "show"]
FIELDS = st.sampled_from(["id", "name", "score", "amount", "meta", "ID", "rank", "", *SETTINGS])
OBJECTS = st.dictionaries(FIELDS, VALUES)


def accepted(body: bytes, expected: type[msgspec.Struct], content_type: str) -> Any:
    """What `body` is decoded into, or None if it was refused in the right way."""
    empty = expected in (NewBoard, Addition)
    try:
        return decode({"Content-Type": content_type}, body, expected, empty=empty, form=True)
    except Problem as error:
        problem = error
    assert problem.status_code == 400
    assert json.loads(problem.json())["detail"] == problem.detail
    assert 10 < len(problem.detail) < 300
    assert problem.detail.isprintable()
    return None


CHOICES: dict[str, Any] = {
    "order": ("desc", "asc"),
    "ties": ("id", "first"),
    "operator": ("best", "set", "add"),
    "show": ([], ["meta"]),
}


def check_meta(value: Any, depth: int) -> None:
    """That every store can keep `value` as it is, in `depth` levels."""
    if isinstance(value, dict | list):
        assert depth > 0
        for inner in value.values() if isinstance(value, dict) else value:
            check_meta(inner, depth - 1)
        if isinstance(value, dict):
            for name in value:
                check_meta(name, depth)
                assert name != "$reql_type$"
    elif isinstance(value, str):
        assert value.encode().decode() == value
        assert "\0" not in value
    elif value is not None and not isinstance(value, bool):
        assert math.isfinite(value)
        if isinstance(value, int):
            assert abs(value) <= SCORE_LIMIT
        else:
            assert not value.is_integer() or abs(value) > SCORE_LIMIT


def check(result: Any) -> None:
    """That every field is what the rules say."""
    fields = msgspec.structs.asdict(result)
    for name, value in fields.items():
        if value is None or value is msgspec.UNSET:
            continue
        if name == "id":
            assert is_id(value)
        elif name in CHOICES:
            assert value in CHOICES[name]
        elif name == "private":
            assert type(value) is bool
        elif name == "top":
            assert type(value) is int
            assert 1 <= value <= 100
        elif name == "meta":
            assert isinstance(value, dict)
            check_meta(value, 10)
        elif name == "name":
            assert 1 <= len(value) <= 200
            assert value.encode().decode() == value
            assert not {unicodedata.category(c) for c in value} & {"Cc", "Cs", "Zl", "Zp"}
            assert is_visible(value)
        else:
            assert type(value) in (int, float)
            assert math.isfinite(value)
            assert abs(value) <= SCORE_LIMIT
            assert type(value) is int or not value.is_integer()


@settings(deadline=None)
@given(TYPES, OBJECTS)
@example(NewPlayer, {"name": "x", "score": -0.0})
@example(NewPlayer, {"name": "x", "score": float(2**53)})
@example(NewPlayer, {"name": "x", "score": 2**53 + 1})
@example(NewBoard, {"name": "\ud800"})
@example(NewBoard, {"\udfff": 1})
def test_any_object(expected: type[msgspec.Struct], values: dict[str, Any]) -> None:
    result = accepted(json.dumps(values).encode(), expected, "application/json")
    if result is not None:
        check(result)
        for name, value in values.items():
            assert getattr(result, name) == value


@settings(deadline=None)
@given(TYPES, st.binary() | st.text().map(str.encode))
@example(NewBoard, b'{"id": "x", "id": "y"}')
@example(NewBoard, b"[" * 60_000)
@example(NewBoard, b'{"name":' * 400 + b"1" + b"}" * 400)
@example(Addition, b'{"amount": 1' + b"0" * 60_000 + b"}")
@example(Addition, b'{"amount": 0.' + b"0" * 60_000 + b"1}")
def test_any_bytes(expected: type[msgspec.Struct], body: bytes) -> None:
    result = accepted(body, expected, "application/json")
    if result is not None:
        check(result)


@settings(deadline=None)
@given(st.binary() | NUMBERS.map(lambda n: f"amount={n}".encode()))
def test_any_form(body: bytes) -> None:
    result = accepted(body, Addition, FORM)
    if result is not None:
        check(result)


@settings(deadline=None)
@given(NUMBERS.filter(lambda n: abs(n) <= SCORE_LIMIT))
def test_a_form_means_what_json_means(amount: float) -> None:
    form = accepted(urllib.parse.urlencode({"amount": amount}).encode(), Addition, FORM)
    as_json = accepted(json.dumps({"amount": amount}).encode(), Addition, "application/json")
    assert form == as_json
    assert form.amount == amount


def test_what_comes_twice_is_not_the_same_object() -> None:
    headers = {"Content-Type": "application/json"}
    first, second = (decode(headers, b'{"id": "x"}', NewBoard) for _ in range(2))
    assert first == second
    first.meta["x"] = 1
    first.name = "X"
    assert (second.meta, second.name) == ({}, None)


def test_a_whole_number_may_have_a_point_as_in_json_schema() -> None:
    headers = {"Content-Type": "application/json"}
    assert decode(headers, b'{"top": 48.0}', BoardPatch).top == 48
    season = decode(headers, b'{"season": {"keep": 48.0}}', BoardPatch).season
    assert isinstance(season, SeasonPlan)
    assert season.keep == 48
    for text in (b"48.5", b"480.0", b"1e2000"):
        with pytest.raises(Problem, match="top: must be a whole number from 1 to 100"):
            decode(headers, b'{"top": %b}' % text, BoardPatch)


@pytest.mark.parametrize(
    "name",
    [
        "x",
        "é" * 200,
        "👩‍👩‍👧‍👦 family",
        " a ",
        "a\u00a0b",
        "\u200b!",
        "\U0001fadf",
        "<script>",
        "\u202etxt",
    ],
)
def test_names_may_be_nearly_anything(name: str) -> None:
    for text in (json.dumps(name), json.dumps(name, ensure_ascii=False)):
        result = accepted(f'{{"name": {text}}}'.encode(), NewPlayer, "application/json")
        assert result.name == name


@pytest.mark.parametrize(
    ("meta", "kept"),
    [
        ({}, {}),
        ({"": 1.0, "a": -0.0, "b": 1e300}, {"": 1, "a": 0, "b": 1e300}),
        ({"a": [1.5, [2.0, {"b": None}], True]}, {"a": [1.5, [2, {"b": None}], True]}),
        ({"é": "😀\u2028", "$reql_type": 2**53}, {"é": "😀\u2028", "$reql_type": 2**53}),
    ],
)
def test_what_a_meta_can_hold(meta: dict[str, Any], kept: dict[str, Any]) -> None:
    for ascii_only in (True, False):
        body = json.dumps({"meta": meta}, ensure_ascii=ascii_only).encode()
        result = accepted(body, PlayerPatch, "application/json")
        assert repr(result.meta) == repr(kept)  # 1 and 1.0 are not the same here


def test_how_deep_a_meta_may_be() -> None:
    for levels, fits in ((10, True), (11, False), (400, False)):
        for text in (
            '{"a": ' * levels + "1" + "}" * levels,
            '{"a":' + "[" * (levels - 1) + "]" * (levels - 1) + "}",
        ):
            result = accepted(f'{{"meta": {text}}}'.encode(), PlayerPatch, "application/json")
            assert (result is not None) == fits


@pytest.mark.parametrize("expected", EVERY_TYPE)
def test_each_field_of_each_body_says_what_it_has_to_be(expected: type[msgspec.Struct]) -> None:
    for name in expected.__struct_fields__:
        for value in ("[0]", "[]"):
            if name == "show" and value == "[]":
                continue
            body = f'{{"{name}": {value}}}'.encode()
            with pytest.raises(Problem) as caught:
                decode({"Content-Type": "application/json"}, body, expected)
            assert caught.value.detail.startswith(f"{name}: must be ")
