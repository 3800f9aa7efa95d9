"""Requests that are wrong, and what each has to be answered."""

from __future__ import annotations

import json
from typing import NamedTuple

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

BOARDS = "/boards/"
BOARD = "/boards/demo/"
EVENTS = "/boards/demo/events/"
PLAYERS = "/boards/demo/players/"
PLAYER = "/boards/demo/players/mars/"
ADD = "/boards/demo/players/mars/score-add/"

HUGE = "9" * 400
DEEP = "[" * 30_000


class Bad(NamedTuple):
    """A request, the status of its answer, and a word that the detail must have."""

    method: str
    target: str
    status: int
    word: str
    body: bytes | str | None = None
    content_type: str = JSON


NOT_JSON = [
    "{",
    "nonsense",
    "{'name': 'x'}",
    '{"name": "x"} {}',
    '{"name": "x",}',
    '{name: "x"}',
    '{"name": "a\nb"}',
    '{"name": "\\x41"}',
    "\ufeff{}",
    '{"score": 01}',
    '{"score": +1}',
    '{"score": .5}',
    '{"score": 0x10}',
    '{"score": 1_000}',
    '{"score": NaN}',
    '{"score": Infinity}',
    '{"score": -Infinity}',
    DEEP,
    '{"name": ' * 10_000,
]

NOT_OBJECTS = ["[]", "null", "true", "1", '"name"', '[{"name": "x"}]']

#: A value of a field that is a name; that is a score or an amount.
NOT_NAMES = ['""', "1", "true", "[]", "{}", '"' + "x" * 201 + '"', '"' + "é" * 201 + '"']
NOT_NAMES += [json.dumps(c) for c in ("a\nb", "\0", "\x1b[31m", "\x7f", "\x85", "\u2028", "\u2029")]
NOT_NAMES += [
    json.dumps(name)
    for name in (
        " ",
        "   \u00a0",
        "\u200b\u200c\u200d\u200e\u200f",
        "\u2060\ufeff\u00ad",
        "\u3164\u115f\u1160\uffa0",
        "\u2800",
        "\u3000\u2003",
        "\u0301\u0308",
        "\u180e\u034f\ufe0f\u202e",
        "\U000e0041\U000e0100",
        "\ufff0\uffff",
    )
]
NOT_NAMES += ['"\\ud800"', '"x\\udfff\\ud83dy"']
NOT_NUMBERS = ['"1"', "true", "false", "null", "[]", "[1]", "{}", '""']
NOT_NUMBERS += ["9007199254740993", "-9007199254740993", "9007199254740994.0", "1e400", "-1e400"]
NOT_NUMBERS += [HUGE, f"-{HUGE}", f"{HUGE}.0", f"1e{HUGE}"]
NOT_IDS = [
    '""',
    '"a b"',
    '"a/b"',
    '"é"',
    '"a\\n"',
    '"' + "x" * 65 + '"',
    "1",
    "true",
    "[]",
    '"a%2e"',
    '"."',
    '".."',
    '"\\u002e."',
]

BAD = [
    # ids in paths
    *(
        Bad(method, target.format(id), 400, "1 to 64", body)
        for id in (
            "a%20b",
            "%C3%A9",
            "a%2Fb",
            "a" * 65,
            "%00",
            "a%0D%0Ab",
            "a%252e",
            "+",
            "a;b",
            "*",
            ".",
            "..",
            "%2e",
            "%2E%2e",
            ".%2e",
        )
        for method, target, body in (
            ("GET", "/boards/{}", None),
            ("DELETE", "/boards/{}/", None),
            ("GET", "/boards/{}/events/", None),
            ("POST", "/boards/{}/players/", '{"name": "x"}'),
            ("GET", "/boards/demo/players/{}/", None),
            ("PATCH", "/boards/demo/players/{}", '{"score": 1}'),
            ("DELETE", "/boards/demo/players/{}/", None),
            ("POST", "/boards/{}/players/mars/score-add/", None),
            ("POST", "/boards/demo/players/{}/score-add/", None),
        )
    ),
    Bad("GET", "/boards/%ff/", 400, "UTF-8"),
    Bad("POST", "/boards/demo/players/%ed%a0%80/score-add", 400, "UTF-8"),
    # query parameters
    *(
        Bad("GET", f"{BOARD}?limit={limit}", 400, "from 1 to 100")
        for limit in (
            "",
            "0",
            "101",
            "-1",
            "1.0",
            "x",
            "1e1",
            "+5",
            "%205",
            "5%20",
            "%D9%A3",
            "0x5",
            HUGE,
        )
    ),
    *(Bad("GET", f"{BOARDS}?limit={x}", 400, "from 1 to 1000") for x in ("0", "1001", "all")),
    *(Bad("GET", f"{BOARDS}?after={x}", 400, "1 to 64") for x in ("a/b", "%0A", "x" * 65)),
    *(Bad("GET", f"{BOARDS}?after={x}", 400, "not . or ..") for x in (".", "%2e%2e")),
    Bad("GET", f"{BOARDS}?after=%ff", 400, "UTF-8"),
    *(
        Bad("GET", f"{EVENTS}?wait={wait}", 400, "wait: ")
        for wait in ("-1", "61", "x", "1e2", "inf", "nan", "%20", HUGE)
    ),
    # A stream looks at parameters that it has no use for, too.
    *(
        Bad("GET", f"{path}stream=1&{query}", 400, query.partition("=")[0])
        for path, queries in (
            (f"{EVENTS}?", ("wait=x", "history=x")),
            ("/boards/demo/?", ("limit=x", "fields=x")),
            ("/events/?board=demo&", ("wait=x",)),
            ("/boards/demo/players/mars/events/?", ("wait=x", f"since={'x' * 65}")),
        )
        for query in queries
    ),
    *(
        Bad("GET", f"{EVENTS}?since={since}", 400, "since: ")
        for since in (
            "x",
            "1",
            "1-",
            "-1",
            "1-2-3",
            "1-x",
            "01-1",
            "1-%2B2",
            f"{HUGE}-1",
            "%D9%A3-1",
        )
    ),
    *(Bad("GET", f"{EVENTS}?history={n}", 400, "history: ") for n in ("-1", "1001", "x")),
    # bodies that are no JSON, or no object
    *(
        Bad(method, target, 400, "not JSON", body)
        for body in NOT_JSON
        if body not in (DEEP, '{"name": ' * 10_000)
        for method, target in (
            ("POST", BOARDS),
            ("POST", PLAYERS),
            ("PATCH", PLAYER),
            ("POST", ADD),
        )
    ),
    *(
        Bad(method, target, 400, "deep", body)
        for body in (DEEP, '{"name": ' * 6_000)
        for method, target in (
            ("POST", BOARDS),
            ("POST", PLAYERS),
            ("PATCH", PLAYER),
            ("POST", ADD),
        )
    ),
    *(
        Bad(method, target, 400, "object", body)
        for body in NOT_OBJECTS
        for method, target in (
            ("POST", BOARDS),
            ("POST", PLAYERS),
            ("PATCH", PLAYER),
            ("POST", ADD),
        )
    ),
    *(
        Bad(method, target, 400, "UTF-8", body)
        for body in (
            b'{"name": "\xff"}',
            b'{"name": "\xed\xa0\x80"}',
            '{"name": "x"}'.encode("utf-16"),
        )
        for method, target in (
            ("POST", BOARDS),
            ("POST", PLAYERS),
            ("PATCH", PLAYER),
            ("POST", ADD),
        )
    ),
    *(Bad(m, t, 400, "empty", "") for m, t in (("POST", PLAYERS), ("PATCH", PLAYER))),
    *(Bad(m, t, 400, "empty", None) for m, t in (("POST", PLAYERS), ("PATCH", PLAYER))),
    # fields: unknown, twice, missing, wrong
    *(
        Bad(method, target, 400, "no field", body)
        for body in ('{"nam": "x"}', '{"rank": 1}', '{"": 1}', '{"NAME": "x"}', '{"__class__": 1}')
        for method, target in (("POST", BOARDS), ("PATCH", PLAYER), ("POST", ADD))
    ),
    Bad("POST", PLAYERS, 400, "board: is no field", '{"name": "x", "board": "other"}'),
    Bad("PATCH", PLAYER, 400, "id: is no field", '{"id": "venus"}'),
    Bad("POST", ADD, 400, "score: is no field", '{"score": 5}'),
    Bad("POST", ADD, 400, "surrogate", '{"\\ud800": 5}'),
    # a field's name that looks like a part of the message about another
    *(
        Bad(method, target, 400, "no field", json.dumps({name: 1}))
        for name in (" - at `$.foo`", "Object missing required field `foo`", "x` - at `$.name`")
        for method, target in (
            ("POST", BOARDS),
            ("POST", PLAYERS),
            ("PATCH", PLAYER),
            ("POST", ADD),
        )
    ),
    Bad("POST", BOARDS, 400, "id: is there twice", '{"id": "x", "id": "y"}'),
    Bad("POST", PLAYERS, 400, "name: is there twice", '{"name": "x", "name": "x"}'),
    Bad("PATCH", PLAYER, 400, "score: is there twice", '{"score": 1, "sc\\u006fre": 2}'),
    Bad("POST", ADD, 400, "amount: is there twice", '{"amount": 1, "amount": 1}'),
    Bad("POST", PLAYERS, 400, "name: is missing", "{}"),
    Bad("POST", PLAYERS, 400, "name: is missing", '{"id": "x", "score": 1}'),
    *(Bad("POST", BOARDS, 400, "name: ", f'{{"id": "x", "name": {name}}}') for name in NOT_NAMES),
    *(
        Bad("POST", PLAYERS, 400, "name: ", f'{{"id": "x", "name": {n}}}')
        for n in [*NOT_NAMES, "null"]
    ),
    *(Bad("PATCH", PLAYER, 400, "name: ", f'{{"name": {name}}}') for name in [*NOT_NAMES, "null"]),
    *(Bad("POST", PLAYERS, 400, "score: ", f'{{"name": "x", "score": {n}}}') for n in NOT_NUMBERS),
    *(Bad("PATCH", PLAYER, 400, "score: ", f'{{"name": "x", "score": {n}}}') for n in NOT_NUMBERS),
    *(Bad("POST", ADD, 400, "amount: ", f'{{"amount": {n}}}') for n in NOT_NUMBERS),
    *(
        Bad("POST", path, 400, "leave it out instead of null", body)
        for path, body in [
            (BOARDS, '{"id": null}'),
            (BOARDS, '{"id": "x", "name": null}'),
            (PLAYERS, '{"id": null, "name": "x"}'),
            (PLAYERS, '{"id": "x", "name": "x", "score": null}'),
        ]
    ),
    *(Bad("POST", BOARDS, 400, "id: ", f'{{"id": {id}}}') for id in NOT_IDS),
    *(Bad("POST", PLAYERS, 400, "id: ", f'{{"id": {id}, "name": "x"}}') for id in NOT_IDS),
    # forms
    *(
        Bad("POST", ADD, 400, "amount: ", f"amount={amount}", FORM)
        for amount in ("", "x", "1+1", "+1", "0x10", "01", "1.", ".5", "1_0", "nan", "inf", "1e400")
    ),
    Bad("POST", ADD, 400, "amount: ", f"amount={HUGE}", FORM),
    Bad("POST", ADD, 400, "twice", "amount=1&amount=1", FORM),
    Bad("POST", ADD, 400, "no field", "amount=1&score=2", FORM),
    Bad("POST", ADD, 400, "form", "nonsense", FORM),
    Bad("POST", ADD, 400, "form", b"amount=\xff", FORM),
    Bad("POST", ADD, 400, "form", "amount=%ff", FORM),
    Bad("POST", ADD, 400, "form", "&".join(["amount=1"] * 200), FORM),
    Bad("POST", ADD, 400, "not JSON", "amount=1", JSON),
    # types of content
    *(
        Bad(method, target, 415, "application/json", '{"name": "x"}', content_type)
        for content_type in ("text/plain", "application/xml", "", "json", "application/jsonp", "/")
        for method, target in (
            ("POST", BOARDS),
            ("POST", PLAYERS),
            ("PATCH", PLAYER),
            ("POST", ADD),
        )
    ),
    *(Bad("POST", t, 415, "application/json", "name=x", FORM) for t in (BOARDS, PLAYERS)),
    Bad("PATCH", PLAYER, 415, "application/json", "score=1", FORM),
    Bad("POST", ADD, 415, "application/json", "--x--\r\n", "multipart/form-data; boundary=x"),
    Bad("POST", ADD, 400, "application/json", "--x\r\n", "multipart/form-data; boundary=x"),
    Bad("POST", ADD, 415, "UTF-8", '{"amount": 1}', "application/json; charset=latin-1"),
    Bad("PATCH", PLAYER, 415, "UTF-8", '{"score": 1}', "application/json;charset=utf-16"),
    # too large
    *(
        Bad(method, target, 413, "65,536", json.dumps({"name": "x" * 70_000}))
        for method, target in (
            ("POST", BOARDS),
            ("POST", PLAYERS),
            ("PATCH", PLAYER),
            ("POST", ADD),
        )
    ),
    Bad("GET", f"{BOARDS}?after={'x' * 17_000}", 431, "16,384"),
    # methods and paths
    *(Bad("PUT", t, 405, "has") for t in ("/", BOARDS, BOARD, EVENTS, PLAYERS, PLAYER, ADD)),
    Bad("DELETE", BOARDS, 405, "has"),
    Bad("DELETE", EVENTS, 405, "has"),
    Bad("GET", ADD, 405, "has"),
    Bad("POST", "/healthz", 405, "has"),
    Bad("CONNECT", BOARD, 405, "has"),
    Bad("delete", BOARD, 405, "has"),
    *(Bad("POST", t, 404, "/boards/") for t in ("/board/", "/boards/demo/score-add", f"{ADD}x")),
    # what is not there, with what would be a good request
    Bad("DELETE", "/boards/none/", 404, "none"),
    Bad("POST", "/boards/none/players/", 404, "none", '{"name": "x"}'),
    Bad("PATCH", "/boards/demo/players/none", 404, "none", '{"score": 1}'),
    Bad("DELETE", "/boards/demo/players/none", 404, "none"),
    Bad("POST", "/boards/demo/players/none/score-add", 404, "none"),
    Bad("POST", "/boards/none/players/mars/score-add", 404, "none"),
    Bad("GET", "/boards/none/", 404, "none"),
    Bad("GET", "/boards/none/events/", 404, "none"),
    # conflicts, and sums out of range
    Bad("POST", BOARDS, 409, "demo", '{"id": "demo", "name": "Other"}'),
    Bad("POST", PLAYERS, 409, "mars", '{"id": "mars", "name": "Other"}'),
    Bad("POST", ADD, 422, "2^53", f'{{"amount": {2**53}}}'),
    Bad("POST", ADD, 422, "2^53", f"amount={2**53 - 18}", FORM),
    Bad("POST", ADD, 422, "2^53", f'{{"amount": {2**53 - 18}.0}}'),
]

#: What isn't HTTP, or not the HTTP that is understood here.
MALFORMED = {
    "no request line": b"nonsense\r\n\r\n",
    "a lower version": b"GET / HTTP/0.9\r\n\r\n",
    "another protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: 127.0.0.1\r\n\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\nHost: localhost\r\nnonsense\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: 1\r\n 2\r\n\r\n",
    "a NUL in a header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: \0\r\n\r\n",
    "a space in the target": b"GET /boards/a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two lengths": b"POST %s HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n{}",
    "a negative length": b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    "a length that is no number": b"POST %s HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Length: 1e1\r\n\r\n",
    "both framings": b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown framing": b"POST %s HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
    "a chunk without a size": b"POST %s HTTP/1.1\r\nHost: localhost\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n",
    "an endless chunk size": b"POST %s HTTP/1.1\r\nHost: localhost\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 5000,
    "a chunk that goes on": b"POST %s HTTP/1.1\r\nHost: localhost\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx\r\n0\r\n\r\n",
}
