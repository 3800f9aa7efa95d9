"""The docs held against the code: what they name exists, and what exists is in them."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path

import pytest

from tornado_board.checked_settings import FIELDS
from tornado_board.cli import COMMANDS, api
from tornado_board.command_line import flag, variables
from tornado_board.web import problems
from tornado_board.web.application import ROUTES

from .server_process import ROOT

DOCS = sorted(
    [
        *ROOT.glob("*.md"),
        *(path for folder in ("docs", "examples") for path in (ROOT / folder).rglob("*.md")),
    ]
)
HTTP_API = (ROOT / "docs" / "http-api.md").read_text("utf-8")

every_doc = pytest.mark.parametrize("doc", DOCS, ids=lambda doc: str(doc.relative_to(ROOT)))


def without_code(text: str) -> str:
    """`text` without blocks of code and code in lines."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S))


def shape(path: str) -> str:
    """A path of the docs, or a pattern of the route table, with ``{}`` for what varies."""
    path = path.removesuffix("?").replace("\\.", ".")
    return re.sub(r"\([^)]*\)|\{[^}]*\}", "{}", path).rstrip("/") or "/"


def test_every_route_is_in_the_docs_and_the_other_way_round() -> None:
    there = {
        (method, shape(path))
        for path, handler in ROUTES
        for method in handler.allowed
        if method not in ("HEAD", "OPTIONS")  # said once, for all
        and path != r"\*"  # no resource: the server as a whole, for OPTIONS
    }
    # One with a query is an example of a path.
    named = re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/[^\s`?]*)`", HTTP_API)
    assert {(method, shape(path)) for method, path in named} == there


def test_every_status_of_an_error_is_in_the_docs_and_the_other_way_round() -> None:
    sources = "".join(
        path.read_text("utf-8")
        for room in ("auth", "web")
        for path in (ROOT / "tornado_board" / room).glob("*.py")
    )
    given = {
        int(status) for status in re.findall(r"(?:Problem|HTTPError|Denied)\(\s*(\d{3})\b", sources)
    }
    given |= {*problems.STATUSES.values(), *problems._TITLES, *problems._DETAILS}
    errors = HTTP_API.partition("\n## Errors\n")[2]
    named = {
        int(status)
        for status in re.findall(r"^\| (\d{3}) \||`(?=4|5)(\d{3})`", errors, re.M)
        for status in status
        if status
    }
    assert named == {status for status in given if status >= 400}


def test_the_limits_in_the_docs_are_settings_with_these_defaults() -> None:
    limits = HTTP_API.partition("\n## Limits\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([\d,.]+)", limits, re.M)
    assert len(rows) > 5
    for name, default in rows:
        assert FIELDS[name].default == float(default.replace(",", "")), name


@every_doc
def test_every_setting_that_the_docs_name_exists(doc: Path) -> None:
    text = doc.read_text("utf-8")
    commands = re.sub(r"\\\n", " ", text)
    named = {
        *re.findall(r"`(--[a-z][a-z0-9_-]*)", text),
        *(
            name
            for command in re.findall(r"(?:run\.py|tornado-board|-m tornado_board)\b.*", commands)
            for name in re.findall(r"(?<!\w)--[a-z][a-z0-9_-]*", command)
        ),
    }
    assert {name.replace("_", "-") for name in named} <= {
        "--help",
        "--version",
        *(
            option
            for module in COMMANDS.values()
            for action in importlib.import_module(module).parser()._actions
            for option in action.option_strings
        ),
        *map(flag, FIELDS),
    }
    known = {name for field in FIELDS for name in variables(field)}
    assert set(re.findall(r"\bTORNADO_BOARD_[A-Z_]*[A-Z]\b", text)) <= {
        *("TORNADO_BOARD_SKIP_PAGE", api.URL, api.TOKEN),
        *known,
    }
    assert set(re.findall(r"(?<![\w$-])([A-Z][A-Z_]+_[A-Z]+)=", text)) <= {
        "TORNADO_BOARD_SKIP_PAGE",
        *("TEST_DATABASE_URL", "SCHEMATHESIS_EXAMPLES", "SCHEMATHESIS_SEED"),  # the tests'
        *known,
    }


def test_the_settings_of_the_readme_have_these_defaults() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| `--([a-z-]+)` \| (`.*?`) \| `?(.*?)`? \|", readme, re.M)
    assert len(rows) > 5
    for name, named, default in rows:
        field = FIELDS[name.replace("-", "_")]
        assert re.findall(r"`(\w+)`", named) == list(variables(field.name))
        if field.default not in ("", ()):
            assert (
                default == f"{field.default:g}"
                if isinstance(field.default, float)
                else default == str(field.default).lower()
            ), name


def anchors(doc: Path) -> set[str]:
    """What GitHub calls the headings of a document."""
    headings = re.findall(r"^#+ (.*)$", doc.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_doc
def test_every_relative_link_leads_somewhere(doc: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(doc.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = doc.parent / path if path else doc
        assert file.exists(), target
        assert ROOT in file.resolve().parents, target
        if anchor:
            assert anchor in anchors(file), target


@every_doc
def test_every_python_command_names_what_is_there(doc: Path) -> None:
    text = doc.read_text("utf-8")
    for module in re.findall(r"\bpython3? -m ([\w.]+\w)", text):
        if module != "build":  # nothing of this project's
            assert importlib.util.find_spec(module) is not None, module
    for script in re.findall(r"\bpython3? ([\w./-]+\.py)\b", text):
        assert (ROOT / script).is_file(), script


@every_doc
def test_every_file_that_the_docs_name_in_code_exists(doc: Path) -> None:
    """Paths from the root of the checkout, such as `tests/test_docs.py`."""
    folders = "tornado_board|tests|benchmarks|docs|static|templates"
    for name in re.findall(rf"`((?:{folders})/[\w./-]*\.\w+)`", doc.read_text("utf-8")):
        assert (ROOT / name).exists(), name
