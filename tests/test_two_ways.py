"""The fast path and Tornado give the same answers, byte for byte, whatever is sent how."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from .tokens import SECRET, token
from .two_servers import (
    ADD,
    LEFT,
    QUIET,
    SHUT,
    STREAM,
    TAKEN,
    TwoServers,
    request,
    two,
    two_for_pages,
)

__all__ = ["two", "two_for_pages"]  # fixtures


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_taken_is_answered_as_tornado_would(two: TwoServers, name: str) -> None:
    two.compare(TAKEN[name])
    assert two.taken == 1


@pytest.mark.parametrize("name", LEFT)
def test_what_is_out_of_the_ordinary_is_left(two: TwoServers, name: str) -> None:
    two.compare(LEFT[name])
    assert two.taken == 0


@pytest.mark.parametrize(
    "name", ["a board", "an addition of five", "a poll that waits", "a stream"]
)
def test_cut_at_every_byte(two: TwoServers, name: str) -> None:
    data = TAKEN[name]
    for cut in range(0, len(data) + 1, 1 if len(data) < 200 else 3):
        two.compare(data, [cut])


def test_a_player_that_was_read_a_moment_ago(two: TwoServers) -> None:
    for _ in range(3):
        assert b'{"id":"earth"' in two.compare(request("/boards/demo/players/earth/"))
        assert two.taken == 1


def test_an_etag_that_is_known(two: TwoServers) -> None:
    got = two.compare(request("/boards/demo/"))
    etag = re.search(rb'Etag: ("[0-9a-f]{40}")', got)
    assert etag is not None
    known = etag[1].decode()
    for given_etag, status in (
        (known, 304),
        (f"W/{known}", 304),
        (known.replace("a", "b"), 200),
        (f'{known}, "x"', 304),
        ("*", 304),
        ('"x"', 200),
        ("W/" + "x" * 42, 200),
        ("x" * 42, 200),
        ('"' + '",' * 13 + '"""', 200),
    ):
        answer = two.compare(request("/boards/demo/", f"If-None-Match: {given_etag}"))
        if "a" in known or given_etag != known.replace("a", "b"):
            assert answer.startswith(b"HTTP/1.1 %d" % status), given_etag
        two.compare(request("/boards/demo/players/mars", f"If-None-Match: {given_etag}"))


@pytest.mark.parametrize(
    "fields",
    [
        ("Origin: https://shown.example",),
        ("Origin: https://other.example",),
        ("Origin: http://[",),
        ("Origin: https://shown.example", "Sec-Fetch-Site: cross-site"),
        ("Sec-Fetch-Site: same-site",),
        ("X-Forwarded-For: 192.0.2.7",),
        ("X-Real-IP: 192.0.2.7", "X-Forwarded-For: nonsense"),
        ("X-Forwarded-Proto: https", "X-Scheme: https"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/below"])
def test_pages_of_other_sites_and_proxies(
    two_for_pages: TwoServers, prefix: str, fields: tuple[str, ...]
) -> None:
    for target in ("/boards/demo/", f"/boards/{QUIET}/events/", "/boards/demo/players/none"):
        two_for_pages.compare(request(prefix + target, *fields))
    for target in (f"/boards/{QUIET}/", f"/boards/{QUIET}/events"):
        two_for_pages.compare(request(prefix + target, STREAM, *fields))
    two_for_pages.compare(request(prefix + ADD, *fields, method="POST"))


@pytest.fixture(scope="module")
def two_guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoServers]:
    servers = TwoServers(tmp_path_factory.mktemp("two"), token_secret=SECRET)
    try:
        yield servers
    finally:
        servers.close()


TOKENS = {
    **{scope: token(scope=scope) for scope in ("read", "submit", "write", "admin")},
    **{f"{scope} elsewhere": token(scope=scope, boards=["x*"]) for scope in ("read", "write")},
    "mars": token(scope="submit", sub="mars"),
    "bob": token(scope="submit", sub="bob"),
    "expired": token(scope="admin", exp=time.time() - 60),
    "forged": token("another secret of at least 32 bytes...", scope="admin"),
    "no token": "admin",
    "empty": "",
}
PAGE = "Sec-Fetch-Site: same-origin"


@pytest.mark.parametrize("presented", [None, *TOKENS])
def test_with_keys_both_ways_let_in_the_same(
    two_guarded: TwoServers, presented: str | None
) -> None:
    ways: list[tuple[str, ...]] = [()]
    if presented is not None:
        field = f"Cookie: tornado_board_token={TOKENS[presented]}"
        ways = [(f"Authorization: Bearer {TOKENS[presented]}",), (field,), (field, PAGE)]
    before = two_guarded.taken_in_all
    statuses = Counter[int]()
    for data in (*TAKEN.values(), *LEFT.values()):
        # To a board that everybody may read, and to one that is private.
        for sent in (data, re.sub(b"(?<=/boards/)(demo|quiet)", SHUT.encode(), data)):
            line, separator, rest = sent.partition(b" HTTP/1.1\r\n")
            if not separator or b"\r\nAuthorization" in rest:
                continue
            for fields in ways:
                more = "".join(f"{field}\r\n" for field in fields).encode()
                got = two_guarded.compare(line + separator + more + rest)
                if got.startswith(b"HTTP"):
                    statuses[int(got.split()[1])] += 1
    taken = two_guarded.taken_in_all - before
    assert taken > 20, "of what anybody may read"
    assert statuses[200] > 10
    if presented not in ("write", "admin"):
        assert statuses[401] + statuses[403] > 10
