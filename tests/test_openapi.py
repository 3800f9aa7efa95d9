"""The description of the API: that it is whole, and made of what the server goes by."""

from __future__ import annotations

import ast
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis

from tornado_board.auth.policy import Action
from tornado_board.settings import Settings
from tornado_board.web import built_page
from tornado_board.web.application import ROUTES
from tornado_board.web.built_page import PageNotBuilt
from tornado_board.web.bulk import MOST_SUBMISSIONS
from tornado_board.web.handler import Handler
from tornado_board.web.openapi import describe
from tornado_board.web.paths import template

from .chromium import Chromium
from .server_process import ROOT
from .serving import serving
from .tokens import SECRET

WEB = ROOT / "tornado_board" / "web"
TOKENS = dataclasses.replace(Settings(), token_secret=SECRET)

OPERATIONS = [
    (template(pattern), method, handler)
    for pattern, handler in ROUTES
    for method in handler.allowed
    if method not in ("HEAD", "OPTIONS") and pattern != r"\*"
]
every_operation = pytest.mark.parametrize(
    ("path", "method", "handler"), OPERATIONS, ids=[f"{m} {p}" for p, m, _ in OPERATIONS]
)


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return describe(ROUTES, TOKENS)


@every_operation
def test_every_route_is_described(
    path: str, method: str, handler: type[Handler], described: dict[str, Any]
) -> None:
    assert method in handler.operations, (
        f"{handler.__name__}.operations has to say what {method} {path} takes and answers"
    )
    operation = described["paths"][path][method.lower()]
    assert operation["summary"], f"{handler.__name__}.{method.lower()} has no docstring"
    names = [(p["in"], p["name"]) for p in operation.get("parameters", [])]
    assert len(names) == len(set(names))
    # Who calls it may be refused for what the path, the action and the method are.
    answers = set(operation["responses"])
    if "{board}" in path:
        assert "404" in answers
    if handler.actions.of(method) is not Action.OPEN:
        assert {"401", "403", "429", "503"} <= answers
        assert operation["security"][-1] != {}
    if "requestBody" in operation:
        assert {"400", "413", "415"} <= answers


def test_nothing_is_described_that_is_not_there(described: dict[str, Any]) -> None:
    there = {(path, method.lower()) for path, method, _ in OPERATIONS}
    assert {(path, m) for path, methods in described["paths"].items() for m in methods} == there
    ids = [o["operationId"] for methods in described["paths"].values() for o in methods.values()]
    assert len(ids) == len(set(ids))


def read_by_name(path: Path) -> Iterator[tuple[int, str]]:
    """The line and the name of each parameter that a module reads by a name of its own, and not as
    one that was declared."""
    readers = {"integer", "identifier", "flag", "names", "seconds", "moment", "argument", "body"}
    readers |= {"get_query_argument", "get_query_arguments", "get_argument"}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else ""
            name = function.id if isinstance(function, ast.Name) else name
            if name in readers:
                for argument in node.args:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        yield node.lineno, argument.value
                    elif name == "body" and isinstance(argument, ast.Name):
                        yield node.lineno, argument.id


@pytest.mark.parametrize("path", sorted(WEB.glob("*.py")), ids=lambda path: path.name)
def test_parameters_and_bodies_are_read_as_they_are_declared(path: Path) -> None:
    allowed = {
        "parameters.py": {"stream"},  # `streams.STREAM`, which comes behind it
        "handler.py": {"body", "expected"},
        "exchange.py": set[str](),
    }.get(path.name, set())
    found = [(line, name) for line, name in read_by_name(path) if name not in allowed]
    assert found == [], "declare these (`described`), and read them by `of`"


def test_it_is_openapi_3_1(described: dict[str, Any]) -> None:
    schema = schemathesis.openapi.from_dict(json.loads(json.dumps(described)))
    assert schema.specification.version == "3.1.0"
    schema.validate()
    for name, component in described["components"]["schemas"].items():
        whole = {**component, "components": described["components"]}
        jsonschema_rs.validator_for(whole), name


def test_bodies_are_described_as_they_are_read(described: dict[str, Any]) -> None:
    components = described["components"]

    def is_valid(name: str, value: object) -> bool:
        whole = {"$ref": f"#/components/schemas/{name}", "components": components}
        return jsonschema_rs.is_valid(whole, value)

    assert is_valid("NewBoard", {"id": "a", "top": 100, "min": None, "meta": {"a": [1, None]}})
    for wrong in (
        {"id": None},
        {"id": ".."},
        {"top": 101},
        {"unknown": 1},
        {"meta": {"a": "\0"}},
        {"meta": {"$reql_type$": 1}},
        {"name": "two\nlines"},
        {"name": "x" * 201},
    ):
        assert not is_valid("NewBoard", wrong), wrong
    assert not is_valid("NewPlayer", {})
    assert is_valid("NewPlayer", {"name": "A", "score": -(2**53)})
    assert not is_valid("NewPlayer", {"name": "A", "score": 2**53 + 1})
    assert "``" not in json.dumps(described)
    assert MOST_SUBMISSIONS > 1


def test_tokens_are_described_where_there_are_keys(described: dict[str, Any]) -> None:
    schemes = described["components"]["securitySchemes"]
    assert schemes["cookie"]["name"] == Settings().token_cookie
    security = described["paths"]["/boards/"]["post"]["security"]
    assert security == [{"bearer": ["write"]}, {"cookie": ["write"]}]
    assert {} in described["paths"]["/boards/"]["get"]["security"]
    without = describe(ROUTES, Settings())
    assert without["components"]["securitySchemes"] == {}
    assert without["paths"]["/boards/"]["post"]["security"] == [{}]


@pytest.mark.gen_test
async def test_a_server_tells_it(settings: Settings) -> None:
    async with serving(dataclasses.replace(settings, base_path="/ours/")) as served:
        answer = await served.request("GET", "/openapi.json")
        etag = {"If-None-Match": answer.headers["ETag"]}
        again = await served.request("GET", "/ours/openapi.json", headers=etag)
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.json()["servers"] == [{"url": "/ours"}]
    assert again.status == 304


@pytest.mark.gen_test
async def test_a_browser_shows_it(settings: Settings, browser: Chromium) -> None:
    try:
        built_page.PAGE.page()
    except PageNotBuilt:
        pytest.skip("the page is not built: python static/build_page.py")
    async with serving(settings) as served:
        tab = await browser.open()
        await tab.send("Log.enable")
        await tab.go(f"http://127.0.0.1:{served.port}/docs")
        shown = "[...document.querySelectorAll('.opblock-summary-path')].map((e) => e.textContent)"
        await tab.until(f"{shown}.length >= {len(OPERATIONS)}")
        paths = {path.replace("\u200b", "") for path in await tab.run(shown)}
        assert paths == {path for path, _, _ in OPERATIONS}
        await tab.run("document.querySelector('#operations-boards-postBoards button').click()")
        await tab.until("document.querySelector('#operations-boards-postBoards .model-example')")
        loaded = "performance.getEntriesByType('resource').map((e) => new URL(e.name).host)"
        assert set(await tab.run(loaded)) == {f"127.0.0.1:{served.port}"}
