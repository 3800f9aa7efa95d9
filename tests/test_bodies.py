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

from tornado_board.inputs import Addition, NewBoard, NewPlayer, PlayerPatch
from tornado_board.models import SCORE_LIMIT, is_id, is_visible
from tornado_board.web.bodies import FORM, decode
from tornado_board.web.problems import Problem

TYPES = st.sampled_from([NewBoard, NewPlayer, PlayerPatch, Addition])

NUMBERS = st.integers() | st.floats()
TEXTS = st.text(st.characters(exclude_categories=()), max_size=250)
VALUES = st.sampled_from([None, True, False, [], {}, ["x"], {"name": "x"}]) | NUMBERS | TEXTS
FIELDS = st.sampled_from(["id", "name", "score", "amount", "ID", "rank", ""])
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


def check(result: Any) -> None:
    """That every field is what the rules say."""
    fields = msgspec.structs.asdict(result)
    for name, value in fields.items():
        if value is None or value is msgspec.UNSET:
            continue
        if name == "id":
            assert is_id(value)
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


@pytest.mark.parametrize("expected", [NewBoard, NewPlayer, PlayerPatch, Addition])
def test_each_field_of_each_body_says_what_it_has_to_be(expected: type[msgspec.Struct]) -> None:
    for name in expected.__struct_fields__:
        with pytest.raises(Problem) as caught:
            decode({"Content-Type": "application/json"}, f'{{"{name}": []}}'.encode(), expected)
        assert caught.value.detail.startswith(f"{name}: must be a ")
