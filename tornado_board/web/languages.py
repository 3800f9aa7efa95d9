"""The languages of the page: which one a request asks for, and what the server itself writes in it.

All other texts are in `static/src/page/texts`, which has the same languages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tornado_board.web.described import Text

#: The language that the address asks for.
LANG = Text(name="lang", text="The language of the page: `en`, `de` or `es`.")

#: How many of the languages that a browser names are looked at.
_MOST_NAMED = 20

#: A language tag with its weight (RFC 9110, 12.5.4), as far as it matters here.
_NAMED = re.compile(
    r"\s{0,8}([a-z]{2,3})(?:-[a-z0-9-]{1,35})?\s{0,8}(?:;\s{0,8}q=([01](?:\.[0-9]{0,3})?))?\s{0,8}",
    re.ASCII | re.IGNORECASE,
)


#: What stands in the page before its scripts run, by language.
TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "standings": "Standings",
        "players": "Players",
        "rank": "Rank",
        "leads": "leads by {points}",
        "behind": "{points} to catch up",
        "level": "level",
        "nobody_yet": "Nobody is on this board yet.",
        "needs_scripts": "This page needs JavaScript. The boards themselves are at",
    },
    "de": {
        "standings": "Rangliste",
        "players": "Spieler",
        "rank": "Rang",
        "leads": "führt mit {points} Vorsprung",
        "behind": "{points} zurück",
        "level": "gleichauf",
        "nobody_yet": "Noch niemand auf dieser Rangliste.",
        "needs_scripts": "Diese Seite braucht JavaScript. Die Ranglisten selbst sind unter",
    },
    "es": {
        "standings": "Clasificación",
        "players": "Jugadores",
        "rank": "Puesto",
        "leads": "{points} de ventaja",
        "behind": "a {points}",
        "level": "igualados",
        "nobody_yet": "Todavía no hay nadie en esta clasificación.",
        "needs_scripts": "Esta página necesita JavaScript. Las clasificaciones están en",
    },
}


def language_of(asked: str | None, accepted: str) -> str:
    """The language of `TEXTS` that is spoken: the one that the address asks for, else the best of
    an ``Accept-Language`` header, else English. What is no language is passed over."""
    wanted = [(asked or "").replace("_", "-")] if asked else []
    for language in (*wanted, *_ranked(accepted)):
        match = _NAMED.fullmatch(language[:64])
        if match and match[1].lower() in TEXTS:
            return match[1].lower()
    return "en"


def _ranked(accepted: str) -> list[str]:
    """The languages that a header names, best first, and of equals the first one."""
    weighed = []
    for item in accepted.split(",", _MOST_NAMED)[:_MOST_NAMED]:
        match = _NAMED.fullmatch(item[:64])
        weight = float(match[2] or 1) if match else 0.0
        if match and weight > 0:
            weighed.append((weight, match[1]))
    return [language for _, language in sorted(weighed, key=lambda one: -one[0])]
