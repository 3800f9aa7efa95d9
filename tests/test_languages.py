"""The languages of the page: which one is spoken, by the server and by the scripts."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tornado_board.settings import Settings
from tornado_board.web.languages import TEXTS, language_of

from .built_page import PAGE_IS_BUILT
from .node import STATIC, node
from .serving import serving
from .test_first_board import make

PAGE_TEXTS = STATIC / "src" / "page" / "texts"


@pytest.mark.parametrize(
    ("asked", "accepted", "language"),
    [
        (None, "", "en"),
        (None, "de-AT,de;q=0.9,en;q=0.8", "de"),
        (None, "fr-FR, es-419;q=0.7, en;q=0.8", "en"),
        (None, "fr, ja;q=0.2", "en"),
        (None, "en;q=0, es;q=0.001", "es"),
        (None, "de;q=1.000,en", "de"),
        ("es", "de", "es"),
        ("ES-mx", "de", "es"),
        ("de_DE", "es", "de"),
        ("fr", "es", "es"),
        ("<script>", "de", "de"),
        ("d" * 9000, "-,;;q=,*,de;q=x," + "a-" * 9000, "en"),
        (None, ",".join(["fr"] * 20 + ["de"]), "en"),  # nobody speaks that many
    ],
)
def test_the_language_is_the_one_asked_for_or_the_browsers(
    asked: str | None, accepted: str, language: str
) -> None:
    assert language_of(asked, accepted) == language


def test_the_server_says_what_the_scripts_say() -> None:
    script = (
        "const tables = {};"
        "for (const l of ['en', 'de', 'es']) tables[l] = (await import(`./${l}.js`)).default;"
        "process.stdout.write(JSON.stringify(tables));"
    )
    done = subprocess.run(
        [node(), "--input-type=module", "-e", script],
        cwd=PAGE_TEXTS,
        check=True,
        capture_output=True,
        text=True,
    )
    tables: dict[str, Any] = json.loads(done.stdout)
    assert tables.keys() == TEXTS.keys() == {path.stem for path in Path(PAGE_TEXTS).iterdir()}
    for language, texts in TEXTS.items():
        for name in texts.keys() - {"needs_scripts"}:
            assert texts[name] == tables[language][name]


@PAGE_IS_BUILT
@pytest.mark.gen_test
async def test_the_page_comes_in_the_language_of_who_asks(settings: Settings) -> None:
    async with serving(settings) as served:
        await make(served, "b", {"x": 3}, name="Das Rennen")
        for target, accepted, language in (
            ("/?board=b", "de", "de"),
            ("/?board=b&lang=es", "de", "es"),
            ("/?board=b&lang=%22%3E", "fr", "en"),
        ):
            page = await served.request("GET", target, headers={"Accept-Language": accepted})
            html = page.body.decode()
            assert f'<html lang="{language}"' in html
            assert f'aria-label="{TEXTS[language]["standings"]}"' in html
            assert f'<span class="spoken">{TEXTS[language]["rank"]} </span>' in html
            assert "Accept-Language" in page.headers["Vary"]
            # What it speaks comes with the first scripts.
            preloads = re.findall(r'<link rel="modulepreload" href="(.*?)">', html)
            assert any(f"/{language}-" in name for name in preloads) is (language != "en")
            for name in preloads:
                assert (await served.request("GET", name)).status == 200
