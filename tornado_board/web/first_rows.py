"""The rows of the page's first board as HTML: what the scripts make of it, before there are any.

What a row consists of says the page's build; its scripts draw the same (`static/src/page/row.js`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from itertools import pairwise
from string import Template
from typing import Any

from tornado.escape import xhtml_escape

#: What has to be put into a row.
FACTS = frozenset({"id", "name", "place", "rank", "rankWord", "score", "size", "gap"})

#: The most characters of a number by how large it is written, as `sizeOf` in `row.js` has it.
_SHORT = 7
_LONG = 12

#: What stands between thousands, and before decimal places, and how many digits a number has before
#: its last three when they are set apart: by language, as CLDR has it and so browsers.
_NUMBERS: Mapping[str, tuple[str, str, int]] = {
    "en": (",", ".", 1),
    "de": (".", ",", 1),
    "es": (".", ",", 2),
}

_CENT = Decimal("0.01")
#: More digits than the greatest float has.
_EXACT = Context(prec=400)


def template_of(text: str) -> Template:
    """The template of a row. Raises `ValueError` where it is not of what rows consist of."""
    template = Template(text)
    if set(template.get_identifiers()) != FACTS:
        raise ValueError("the template of a row has other names")
    return template


def rows_of(
    template: Template,
    rows: Sequence[tuple[int, Mapping[str, Any]]],
    texts: Mapping[str, str],
    lang: str,
) -> str:
    """HTML of players with their ranks, best first."""
    scores = [player["score"] for _, player in rows]
    found = []
    for (rank, player), gap in zip(rows, _gaps(scores, texts, lang), strict=True):
        written = number(player["score"], lang)
        facts = {
            "id": player["id"],
            "name": player["name"],
            "place": str(rank),
            "rank": number(rank, lang),
            "rankWord": texts["rank"],
            "score": written,
            "size": _size(written),
            "gap": gap,
        }
        found.append(template.substitute({key: xhtml_escape(text) for key, text in facts.items()}))
    return "".join(found)


def number(value: float, lang: str) -> str:
    """`value` as browsers write it in a language, with two decimal places at the most
    (`Intl.NumberFormat`)."""
    thousands, point, least = _NUMBERS[lang]
    exact = Decimal(repr(value))
    if isinstance(value, float):
        exact = exact.quantize(_CENT, ROUND_HALF_UP, _EXACT)
    whole, _, decimals = f"{exact:f}".partition(".")
    sign = "-" if whole.startswith("-") else ""
    digits = whole.removeprefix("-")
    if len(digits) >= 3 + least:
        digits = f"{int(digits):,}".replace(",", thousands)
    decimals = decimals.rstrip("0")
    return f"{sign}{digits}{point if decimals else ''}{decimals}"


def _size(written: str) -> str:
    return "short" if len(written) <= _SHORT else "long" if len(written) <= _LONG else "huge"


def _gaps(scores: Sequence[float], texts: Mapping[str, str], lang: str) -> Iterator[str]:
    """How each stands to the one before, and the first to the second, in words."""
    if len(scores) == 1:
        yield ""
    for i, (ahead, score) in enumerate(pairwise(scores)):
        if i == 0:
            yield _gap("leads", ahead - score, texts, lang)
        yield _gap("behind", ahead - score, texts, lang)


def _gap(key: str, points: float, texts: Mapping[str, str], lang: str) -> str:
    if points == 0:
        return texts["level"]
    return texts[key].replace("{points}", number(abs(points), lang))
