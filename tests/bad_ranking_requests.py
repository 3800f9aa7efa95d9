"""Requests of the ranking that are wrong, and what each has to be answered."""

from __future__ import annotations

import json

from .bad_requests import DEEP, FORM, HUGE, NOT_JSON, NOT_NAMES, NOT_NUMBERS, NOT_OBJECTS
from .bad_requests import Bad as Bad
from .test_pages import BAD_CURSORS

BOARDS = "/boards/"
BOARD = "/boards/demo/"
PLAYERS = "/boards/demo/players/"
PLAYER = "/boards/demo/players/mars/"
SCORE = "/boards/demo/players/mars/score/"
ADD = "/boards/demo/players/mars/score-add/"
SCORES = "/boards/demo/scores/"

NDJSON = "application/x-ndjson"

#: A board with bounds, and one player of it.
BOUNDED = "/boards/bounded/"
BOUNDED_PLAYER = "/boards/bounded/players/p/"

#: Where a setting of a board is set, and where a body has a `meta`.
SETTING = (("POST", BOARDS), ("PATCH", BOARD))
META = (*SETTING, ("POST", PLAYERS), ("PATCH", PLAYER), ("POST", SCORE))

#: What other members a body must have.
REST = {PLAYERS: '"name": "x", ', SCORE: '"score": 1, '}

NOT_METAS = ["null", "1", '"x"', "[]", "true", "[{}]"]
WRONG_METAS = [
    ('{"a": "\\ud800"}', "surrogate"),
    ('{"\\udfff": 1}', "surrogate"),
    ('{"a": {"b": ["\\ud83d"]}}', "surrogate"),
    ('{"a": "\\u0000"}', "U+0000"),
    ('{"a\\u0000": 1}', "U+0000"),
    ('{"a": 9007199254740993}', "2^53"),
    ('{"a": [1e400]}', "2^53"),
    (f'{{"a": {HUGE}}}', "2^53"),
    ('{"a": 1, "a": 2}', "a: is there twice"),
    ('{"a": {"b": 1, "b": 1}}', "b: is there twice"),
    ('{"$reql_type$": "TIME"}', "$reql_type$"),
    ('{"a": [{"$reql_type$": "BINARY"}]}', "$reql_type$"),
    ('{"a": ' * 11 + "1" + "}" * 11, "deep"),
    ('{"a": ' + "[" * 10 + "]" * 10 + "}", "deep"),
    ('{"a": NaN}', "not JSON"),
]


def meta(text: str) -> str:
    return f'"meta": {text}'


BAD = [
    # settings of boards
    *(
        Bad(method, target, 400, f"{name}: ", f'{{"{name}": {value}}}')
        for name, values in {
            "order": ('"up"', '"DESC"', '""', "1", "null", "[]", '["desc"]'),
            "ties": ('"score"', "null", "true", "{}"),
            "operator": ('"max"', '"Best"', "null", "0", '["best"]'),
            "top": ("0", "101", "-1", "1.5", '"5"', "true", "null", "1e400", "[]", HUGE),
            "min": (*(n for n in NOT_NUMBERS if n != "null"),),
            "max": (*(n for n in NOT_NUMBERS if n != "null"),),
            "show": ("null", '"meta"', '["score"]', '["meta", "meta"]', "[1]", "{}", "[null]"),
        }.items()
        for value in values
        for method, target in SETTING
    ),
    *(
        Bad(method, target, 400, "is no field", body)
        for body in ('{"players": 5}', '{"rank": 1}', '{"fields": "meta"}')
        for method, target in SETTING
    ),
    Bad("PATCH", BOARD, 400, "id: is no field", '{"id": "other"}'),
    *(Bad("PATCH", BOARD, 400, "name: ", f'{{"name": {name}}}') for name in [*NOT_NAMES, "null"]),
    Bad("PATCH", BOARD, 400, "top: is there twice", '{"top": 5, "top": 5}'),
    Bad("PATCH", BOARD, 400, "empty", ""),
    Bad("PATCH", BOARD, 400, "empty", None),
    Bad("POST", BOARDS, 422, "greater than max", '{"min": 2, "max": 1}'),
    Bad("PATCH", BOARD, 422, "greater than max", '{"min": 2, "max": 1}'),
    Bad("PATCH", BOUNDED, 422, "greater than max", '{"min": 101}'),
    Bad("PATCH", BOUNDED, 422, "greater than max", '{"max": -1}'),
    *(
        Bad("PATCH", BOARD, 409, "players", f'{{"{name}": "{value}", "name": "Other"}}')
        for name, value in (("order", "asc"), ("ties", "first"))
    ),
    Bad("PATCH", "/boards/none/", 404, "none", '{"top": 5}'),
    *(
        Bad("PATCH", f"/boards/{id}/", 400, "1 to 64", '{"top": 5}')
        for id in ("a%20b", "..", "x" * 65)
    ),
    # meta
    *(
        Bad(method, target, 400, "meta: ", f"{{{REST.get(target, '')}{meta(value)}}}")
        for value in NOT_METAS
        for method, target in META
    ),
    *(
        Bad(method, target, 400, word, f"{{{REST.get(target, '')}{meta(value)}}}")
        for value, word in WRONG_METAS
        for method, target in META
    ),
    *(
        Bad(m, t, 422, f"{most}", f"{{{REST.get(t, '')}{meta(json.dumps({'a': 'x' * most}))}}}")
        for m, t in META
        for most in (4096 if t in (BOARDS, BOARD) else 2048,)
    ),
    # submissions
    *(
        Bad("POST", target.format(id), 400, "1 to 64", body)
        for id in ("a%20b", "%C3%A9", "a" * 65, "%00", ".", "..", "%2e", "*")
        for target, body in (
            ("/boards/{}/players/mars/score/", '{"score": 1}'),
            ("/boards/demo/players/{}/score/", '{"score": 1}'),
            ("/boards/{}/scores/", '[{"id": "x", "score": 1}]'),
            ("/boards/demo/players/{}/score-add/?create=1", None),
        )
    ),
    *(Bad("POST", SCORE, 400, "not JSON", b) for b in NOT_JSON if b != DEEP and len(b) < 10_000),
    *(Bad("POST", SCORE, 400, "deep", body) for body in (DEEP, '{"meta": ' * 6_000)),
    *(Bad("POST", SCORE, 400, "object", body) for body in NOT_OBJECTS),
    *(Bad("POST", SCORE, 400, "empty", body) for body in ("", None)),
    *(Bad("POST", SCORE, 400, "score: ", f'{{"score": {n}}}') for n in NOT_NUMBERS),
    Bad("POST", SCORE, 400, "score: is missing", "{}"),
    Bad("POST", SCORE, 400, "score: is missing", '{"name": "x", "operator": "add"}'),
    Bad("POST", SCORE, 400, "amount: is no field", '{"amount": 1}'),
    Bad("POST", SCORE, 400, "id: is no field", '{"id": "venus", "score": 1}'),
    Bad("POST", SCORE, 400, "season: must be a whole number", '{"score": 1, "season": "7"}'),
    Bad("POST", SCORE, 409, "has not begun", '{"score": 1, "season": 7}'),
    Bad("POST", SCORE, 400, "score: is there twice", '{"score": 1, "score": 1}'),
    Bad("POST", SCORE, 400, "UTF-8", b'{"score": 1, "name": "\xff"}'),
    *(
        Bad("POST", SCORE, 400, "name: ", f'{{"score": 99, "name": {name}}}')
        for name in [*NOT_NAMES, "null"]
    ),
    *(
        Bad("POST", SCORE, 400, "operator: ", f'{{"score": 99, "operator": {value}}}')
        for value in ('"max"', "null", "1", '"ADD"', "[]")
    ),
    Bad("POST", SCORE, 415, "application/json", "score=1", FORM),
    Bad("POST", SCORE, 415, "application/json", '{"score": 1}', "text/plain"),
    Bad("POST", SCORE, 415, "application/json", '{"score": 1}', NDJSON),
    Bad("POST", SCORE, 404, "none", '{"score": 1}')._replace(
        target="/boards/none/players/mars/score/"
    ),
    Bad("POST", SCORE, 413, "65,536", json.dumps({"score": 1, "name": "x" * 70_000})),
    Bad("POST", SCORE, 422, "2^53", f'{{"score": {2**53}, "operator": "add"}}'),
    *(
        Bad("POST", f"{BOUNDED_PLAYER}score/", 422, "100", f'{{"score": {n}, "operator": "set"}}')
        for n in (101, 100.5, 2**53)
    ),
    Bad("POST", f"{BOUNDED_PLAYER}score/", 422, "0", '{"score": -1, "operator": "set"}'),
    Bad("POST", f"{BOUNDED_PLAYER}score/", 422, "100", '{"score": 51, "operator": "add"}'),
    Bad("POST", f"{BOUNDED}players/new/score/", 422, "100", '{"score": 101}'),
    Bad("POST", f"{BOUNDED}players/", 422, "100", '{"name": "x", "score": 101}'),
    Bad("PATCH", BOUNDED_PLAYER, 422, "100", '{"name": "y", "score": 101}'),
    Bad("POST", f"{BOUNDED_PLAYER}score-add/", 422, "100", '{"amount": 51}'),
    Bad("POST", f"{BOUNDED}players/new/score-add/?create=1", 422, "100", '{"amount": 101}'),
    *(
        Bad("POST", f"{ADD}?create={value}", 400, "create: ")
        for value in ("2", "yes", "TRUE", "01", "%201")
    ),
    Bad("POST", f"{PLAYERS}none/score-add/?create=0", 404, "none"),
    # hidden players
    *(
        Bad("PATCH", f"{PLAYERS}mars/", 400, "hidden: must be", f'{{"hidden": {value}}}')
        for value in ("1", "null", '"true"', "[]")
    ),
    Bad("PATCH", f"{PLAYERS}none/", 404, "none", '{"hidden": true}'),
    Bad("POST", PLAYERS, 400, "hidden: is no field", '{"name": "x", "hidden": true}'),
    Bad("POST", f"{PLAYERS}mars/score/", 400, "hidden: is no", '{"score": 1, "hidden": true}'),
    *(
        Bad("GET", f"{PLAYERS}?hidden={value}", 400, "hidden: ")
        for value in ("yes", "2", "TRUE", "%00")
    ),
    Bad("GET", f"{PLAYERS}?hidden=1&around=mars", 400, "around: "),
    Bad("GET", f"{PLAYERS}?hidden=1&after=x", 400, "after: "),
    Bad("GET", f"{PLAYERS}?hidden=1&limit=0", 400, "limit: "),
    Bad("GET", "/boards/none/players/?hidden=1", 404, "none"),
    Bad("POST", "/boards/none/players/mars/score-add/?create=1", 404, "none"),
    # many at once
    *(
        Bad("POST", SCORES, 400, "JSON", body)
        for body in ("{}", "null", "1", '"x"', "[", "[1", "[1,]", "[1 2]", "nonsense", "[1] x", "]")
    ),
    *(Bad("POST", SCORES, 400, "deep", body) for body in ("[" * 100_000, '[{"a":' * 50_000)),
    Bad("POST", SCORES, 400, "JSON", '{"id": "mars", "score": 99}'),
    Bad("POST", SCORES, 400, "JSON", '{"id": "mars", "score": 99}\n{"id": "mars", "score": 99}'),
    Bad("POST", SCORES, 400, "JSON", b"\xff\xfe"),
    *(Bad("POST", SCORES, 400, "empty", body) for body in ("", None)),
    *(Bad("POST", SCORES, 400, "empty", body, NDJSON) for body in ("",)),
    *(
        Bad("POST", SCORES, 400, "NDJSON", body, NDJSON)
        for body in ("\n", "nonsense", "{", b"\xff", '{"id": "mars",\n"score": 99}', "\n\n \r\n")
    ),
    Bad("POST", SCORES, 413, "10,000", "[" + ",".join(["1"] * 10_001) + "]"),
    Bad("POST", SCORES, 413, "10,000", "[" + ",".join(["NaN"] * 10_001) + "]"),
    Bad("POST", SCORES, 413, "10,000", "1\n" * 10_001, NDJSON),
    Bad("POST", SCORES, 413, "4,194,304", " " * (4 * 2**20 + 1)),
    Bad("POST", SCORES, 413, "4,194,304", "\n" * (4 * 2**20 + 1), NDJSON),
    *(
        Bad("POST", SCORES, 415, NDJSON, "[]", kind)
        for kind in (
            "text/plain",
            FORM,
            "",
            "application/jsonl",
            "application/x-ndjson2",
            "text/csv",
        )
    ),
    Bad("POST", SCORES, 415, "UTF-8", "[]", "application/json; charset=utf-16"),
    Bad("POST", "/boards/none/scores/", 404, "none", '[{"id": "x", "score": 1}]'),
    Bad("POST", "/boards/none/scores/", 404, "none", "[]"),
    Bad("POST", "/boards/none/scores/", 404, "none", "[1]"),
    # pages
    *(
        Bad("GET", f"{PLAYERS}?limit={limit}", 400, "from 1 to 1000")
        for limit in ("", "0", "1001", "-1", "1.0", "x", "%D9%A3", HUGE)
    ),
    *(
        Bad("GET", f"{PLAYERS}?from_rank={rank}", 400, "from_rank: ")
        for rank in ("", "0", "-1", "1.5", "x", "1e3", "1000000000", HUGE)
    ),
    *(
        Bad("GET", f"{PLAYERS}?{name}={cursor}", 400, f"{name}: is no cursor")
        for cursor in BAD_CURSORS
        if (cursor.isascii() and cursor.isalnum()) or not cursor
        for name in ("after", "before")
    ),
    *(
        Bad("GET", f"{PLAYERS}?after={cursor}", 400, "after: is no cursor")
        for cursor in ("%00", "%20", "%C3%A9", "W10%3D", "%2B%2F%2B%2F", "WzMxLDAsInZlbnVzIl0=")
    ),
    Bad("GET", f"{PLAYERS}?after=%ff", 400, "UTF-8"),
    *(
        Bad("GET", f"{PLAYERS}?around={id}", 400, "1 to 64")
        for id in ("", "a%20b", ".", "..", "x" * 65, "%00", "mars,venus")
    ),
    Bad("GET", f"{PLAYERS}?around=none", 404, "none"),
    *(
        Bad("GET", f"{PLAYERS}?ids={ids}", 400, "ids: ")
        for ids in (
            "",
            ",",
            "mars,",
            ",mars",
            "mars,,venus",
            "a%20b",
            "mars,..",
            "x" * 65,
            "mars;venus",
        )
    ),
    Bad("GET", f"{PLAYERS}?ids={','.join(f'p{i}' for i in range(101))}", 400, "100"),
    Bad("GET", f"{PLAYERS}?ids={','.join(['mars'] * 101)}", 400, "100"),
    *(
        Bad("GET", f"{PLAYERS}?{query}", 400, " and ")
        for query in (
            *("around=mars&from_rank=1", "ids=mars&around=mars", "after=x&before=x"),
            *("from_rank=1&after=", "ids=&around=", "before=x&ids=mars&from_rank=2"),
        )
    ),
    *(
        Bad("GET", f"{target}?fields={fields}", 400, "fields: ")
        for target, unknown in (
            (PLAYERS, ("rank", "settings", "name")),
            (PLAYER, ("rank", "count")),
            (BOARD, ("players", "season", "order")),
            (BOARDS, ("count", "meta", "rank")),
        )
        for fields in (*unknown, "", ",", "meta,", "META", "%20meta", "settings%2C", "x" * 1000)
    ),
    Bad("GET", "/boards/none/players/", 404, "none"),
    Bad("GET", "/boards/none/players/?around=mars", 404, "none"),
    Bad("GET", "/boards/none/players/?ids=mars", 404, "none"),
    Bad("GET", "/boards/none/players/?from_rank=5", 404, "none"),
    Bad("GET", "/boards/none/?fields=count", 404, "none"),
    *(Bad("GET", f"/boards/{id}/players/", 400, "1 to 64") for id in ("a%20b", "..", "x" * 65)),
    # methods and paths
    *(Bad(m, SCORE, 405, "has") for m in ("GET", "PUT", "PATCH", "DELETE")),
    *(Bad(m, SCORES, 405, "has") for m in ("GET", "PUT", "PATCH", "DELETE")),
    *(Bad(m, PLAYERS, 405, "has") for m in ("PUT", "PATCH", "DELETE")),
    Bad("PUT", BOARD, 405, "has", "{}"),
    *(
        Bad("POST", target, 404, "/boards/", "{}")
        for target in (
            f"{SCORE}x",
            f"{SCORES}x",
            "/scores/",
            "/boards/demo/score/",
            f"{PLAYER}scores/",
        )
    ),
]

#: What is no key, as it is spelled in a header.
NOT_KEYS = ["a b", "x" * 129, "\x80", "é", "a\tb", '"a b"', "a, b"]

WRITES = [
    ("POST", BOARDS, '{"id": "x"}'),
    ("PATCH", BOARD, '{"top": 7}'),
    ("POST", PLAYERS, '{"name": "x"}'),
    ("PATCH", PLAYER, '{"score": 77}'),
    ("POST", SCORE, '{"score": 77}'),
    ("POST", ADD, None),
    ("POST", SCORES, '[{"id": "mars", "score": 77}]'),
]
