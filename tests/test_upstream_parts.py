"""What an edge knows without asking anybody: addresses, hops, fields, streams as bytes, copies of
boards, and which boards go over which stream. No I/O."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tornado_board.replay import Event, EventId
from tornado_board.upstream import hops
from tornado_board.upstream.address import MOST_UPSTREAMS, Address, parse_all
from tornado_board.upstream.board_copy import Arrived, BoardCopy, Verdict
from tornado_board.upstream.event_stream import (
    LONGEST_LINE,
    BadStream,
    EventStreamReader,
    StreamEvent,
)
from tornado_board.upstream.followed import position_in
from tornado_board.upstream.grouping import plan
from tornado_board.web.edge import fields

# Addresses


@pytest.mark.parametrize(
    ("url", "shown", "authority", "path"),
    [
        ("http://boards.example", "http://boards.example/", "boards.example", ""),
        ("https://boards.example:443/", "https://boards.example/", "boards.example", ""),
        ("HTTP://a:8080/x/y/", "http://a:8080/x/y/", "a:8080", "/x/y"),
        ("http://[::1]:80", "http://[::1]/", "[::1]", ""),
        ("https://u:p%40ss@h/x", "https://h/x/", "h", "/x"),
    ],
)
def test_an_address_shows_where_the_upstream_is_and_no_password(
    url: str, shown: str, authority: str, path: str
) -> None:
    address = Address.parse(url)
    assert (str(address), address.authority, address.path) == (shown, authority, path)
    assert "p@ss" not in repr(address)
    assert "dTpwQHNz" not in repr(address)


def test_what_stands_before_the_host_is_sent_as_basic_authentication() -> None:
    assert Address.parse("http://u:p%40ss@h").authorization == "Basic dTpwQHNz"
    assert Address.parse("http://h").authorization == ""


@pytest.mark.parametrize(
    "url",
    [
        *("", "boards.example", "ftp://h", "http://", "http:///x", "http://h?x", "http://h#x"),
        *("http://h:99999", "http://h:secret", "http://h/../x", "http://h/a b", "http://h//x"),
        *("http://secret@", "http://ä/", "http://h/%2e"),
    ],
)
def test_what_is_no_address_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ValueError, match=r"^upstream: ") as refused:
        Address.parse(url)
    assert "secret" not in str(refused.value)


def test_upstreams_are_named_once_and_not_without_end() -> None:
    assert parse_all(("http://a", "http://b/", "http://a:80/")) == (
        Address.parse("http://a"),
        Address.parse("http://b"),
    )
    with pytest.raises(ValueError, match="too many"):
        parse_all(tuple(f"http://h{n}" for n in range(MOST_UPSTREAMS + 1)))


# Hops

OWN = hops.PREFIX + "own"


def test_each_server_adds_itself_to_the_ids_that_a_request_came_with() -> None:
    assert hops.extended("", OWN) == OWN
    other = hops.PREFIX + "other"
    assert hops.extended(f"proxy.example; x=1, {other}", OWN) == (
        f"proxy.example; x=1, {other}, {OWN}"
    )
    assert hops.servers(f"proxy.example; x=1, {other};y, {OWN}") == [other, OWN]


def test_a_request_that_comes_back_or_from_too_far_is_refused() -> None:
    with pytest.raises(hops.Looped, match="this server already"):
        hops.extended(f"{hops.PREFIX}a, {OWN};v=1", OWN)
    far = ", ".join(f"{hops.PREFIX}{n}" for n in range(hops.MOST_HOPS))
    with pytest.raises(hops.Looped, match="servers"):
        hops.extended(far, OWN)
    with pytest.raises(hops.Looped, match="characters"):
        hops.extended("x" * 5_000, OWN)


# Fields


def test_what_concerns_one_connection_is_not_passed_on() -> None:
    came = [
        ("Connection", "close, X-Mine"),
        ("X-Mine", "1"),
        ("Keep-Alive", "5"),
        ("TE", "trailers"),
        ("Transfer-Encoding", "chunked"),
        ("Upgrade", "h2c"),
        ("Proxy-Authorization", "x"),
        ("Host", "edge"),
        ("X-Forwarded-For", "1.2.3.4"),
        ("CDN-Loop", "x"),
        ("Authorization", "Bearer t"),
        ("Idempotency-Key", "k"),
    ]
    assert list(fields.passed_on(came)) == [
        ("Authorization", "Bearer t"),
        ("Idempotency-Key", "k"),
    ]


def test_an_answer_leads_to_this_server_where_it_led_to_the_upstream() -> None:
    upstream = Address.parse("https://boards.example/our")
    came = [
        ("Location", "/our/boards/b/"),
        ("Location", "https://boards.example/our/boards/b/"),
        ("Location", "https://elsewhere.example/our/"),
        ("Link", '</our/boards/?after=a>; rel="next"'),
        ("Access-Control-Allow-Origin", "*"),
        ("Date", "now"),
        ("Etag", '"x"'),
    ]
    assert list(fields.of_answer(came, upstream, "/mine")) == [
        ("Location", "/mine/boards/b/"),
        ("Location", "/mine/boards/b/"),
        ("Location", "https://elsewhere.example/our/"),
        ("Link", '</mine/boards/?after=a>; rel="next"'),
        ("Etag", '"x"'),
    ]


def test_a_page_of_this_servers_own_is_as_one_of_the_upstreams_own() -> None:
    upstream = Address.parse("https://boards.example")
    assert fields.of_page("https://edge.example", "same-origin", "edge.example", upstream) == [
        ("Origin", "https://boards.example"),
        ("Sec-Fetch-Site", "same-origin"),
    ]
    assert fields.of_page("https://evil.example", "cross-site", "edge.example", upstream) == [
        ("Origin", "https://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
    ]
    assert fields.of_page(None, None, "edge.example", upstream) == []


# Streams as bytes

STREAM = (
    b': hello\nretry: 1000\nevent: update\ndata: {"id":"b"}\nid: b:1-2\n\n'
    b"data: one\r\ndata: two\r\n\r\n"
    b"event: nothing\n\n"
    b": keep-alive\n"
    b"event:update\rdata:{}\rid:\r\r"
    b"data: cut"
)
EVENTS = [
    StreamEvent("update", '{"id":"b"}', "b:1-2"),
    StreamEvent("message", "one\ntwo", None),
    StreamEvent("update", "{}", ""),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_stream_is_read_the_same_wherever_its_pieces_end(cuts: list[int]) -> None:
    reader, read = EventStreamReader(), []
    for start, end in itertools.pairwise([0, *sorted(cuts), len(STREAM)]):
        read += reader.feed(STREAM[start:end])
    assert read == EVENTS


def test_a_stream_without_an_end_of_line_is_given_up() -> None:
    def feed(piece: bytes) -> None:
        reader = EventStreamReader()
        for _ in range(LONGEST_LINE // len(piece) + 2):
            reader.feed(piece)

    with pytest.raises(BadStream, match="a line of more"):
        feed(b"x" * 65_536)
    with pytest.raises(BadStream, match="an event of more"):
        feed(b"data: " + b"x" * 60_000 + b"\n")
    with pytest.raises(BadStream, match="UTF-8"):
        EventStreamReader().feed(b"data: \xff\n\n")


@pytest.mark.parametrize(
    ("text", "board", "position"),
    [
        ("a:1-2,b:3-4,ab:5-6", "a", EventId(1, 2)),
        ("a:1-2,b:3-4,ab:5-6", "b", EventId(3, 4)),
        ("a:1-2,b:3-4,ab:5-6", "ab", EventId(5, 6)),
        ("a:1-2,b:3-4,ab:5-6", "c", None),
        ("ab:1-2", "b", None),
        ("", "b", None),
    ],
)
def test_a_position_is_found_among_those_of_several_boards(
    text: str, board: str, position: EventId | None
) -> None:
    assert position_in(text, board) == position


def test_a_position_that_is_none_is_told() -> None:
    with pytest.raises(ValueError, match="an event id"):
        position_in("a:gone,b:1-2", "a")


# Copies of boards


def event(n: int) -> Event:
    return Event(EventId(n, n), f'{{"n":{n}}}')


def test_events_that_follow_each_other_are_news_and_others_known_or_behind_a_gap() -> None:
    copy = BoardCopy()
    assert copy.take(Arrived(event(5))) is Verdict.NEWS
    assert copy.take(Arrived(event(5))) is Verdict.KNOWN
    assert copy.take(Arrived(event(4))) is Verdict.KNOWN
    assert copy.take(Arrived(event(7))) is Verdict.GAP
    assert copy.position == EventId(5, 5)
    assert copy.take(Arrived(event(6))) is Verdict.NEWS
    assert copy.take(Arrived(event(7))) is Verdict.NEWS
    assert copy.take(Arrived(event(7), "said twice")) is Verdict.KNOWN


def test_a_reset_is_a_new_beginning_even_where_ids_went_back() -> None:
    copy = BoardCopy(event(5))
    assert copy.take(Arrived(event(9), "why")) is Verdict.NEWS
    assert copy.take(Arrived(event(3), "why")) is Verdict.NEWS
    assert copy.position == EventId(3, 3)


def test_an_event_without_an_id_is_shown_once_and_takes_the_position() -> None:
    copy = BoardCopy(event(5))
    unlogged = Event(None, "{}")
    assert copy.take(Arrived(unlogged)) is Verdict.NEWS
    assert copy.take(Arrived(unlogged)) is Verdict.KNOWN
    assert copy.position is None
    assert copy.take(Arrived(event(9))) is Verdict.NEWS


@given(st.lists(st.integers(0, 30), max_size=80))
def test_whatever_comes_twice_or_late_is_shown_once_and_in_order(numbers: list[int]) -> None:
    """Where a gap is filled by what lies in it, everything is shown once and in order."""
    copy, shown = BoardCopy(event(0)), [0]
    for number in numbers:
        verdict = copy.take(Arrived(event(number)))
        if verdict is Verdict.GAP:
            for missing in range(shown[-1] + 1, number + 1):
                assert copy.take(Arrived(event(missing))) is Verdict.NEWS
                shown.append(missing)
        elif verdict is Verdict.NEWS:
            shown.append(number)
    assert shown == list(range(shown[-1] + 1))
    assert copy.position == EventId(shown[-1], shown[-1])


# Which boards go over which stream

MOST = 5


def carried_out(
    streams: Mapping[int, tuple[str, ...]], wanted: set[str], *, tidy: bool
) -> dict[int, tuple[str, ...]]:
    openings, ends = plan(streams, wanted, MOST, tidy=tidy)
    gone = {*ends, *(old for opening in openings for old in opening.replaces)}
    kept = {stream: boards for stream, boards in streams.items() if stream not in gone}
    number = max(streams, default=0)
    return kept | {number + n: opening.boards for n, opening in enumerate(openings, 1)}


def test_the_first_board_has_a_stream_and_the_next_ones_share_it() -> None:
    assert carried_out({}, {"a"}, tidy=False) == {1: ("a",)}
    assert carried_out({1: ("a",)}, {"a", "c", "b"}, tidy=False) == {2: ("a", "b", "c")}
    assert carried_out({1: ("a",)}, {"a"}, tidy=True) == {1: ("a",)}


def test_a_board_that_nobody_wants_is_let_go_of_in_time() -> None:
    streams = {1: ("a", "b")}
    assert carried_out(streams, {"a"}, tidy=False) == streams
    assert carried_out(streams, {"a"}, tidy=True) == {2: ("a",)}
    assert carried_out(streams, set(), tidy=False) == {}


def test_full_streams_are_left_alone() -> None:
    full = {1: tuple("abcde")}
    assert carried_out(full, set("abcdef"), tidy=True) == {1: tuple("abcde"), 2: ("f",)}


boards = st.sets(st.sampled_from([f"b{n:02}" for n in range(24)]))


@given(st.lists(st.tuples(boards, st.booleans()), min_size=1, max_size=8))
def test_every_board_is_followed_over_streams_that_are_few_and_not_too_large(
    steps: list[tuple[set[str], bool]],
) -> None:
    streams: dict[int, tuple[str, ...]] = {}
    for wanted, tidy in steps:
        streams = carried_out(streams, wanted, tidy=tidy)
        followed = [board for boards in streams.values() for board in boards]
        assert wanted <= set(followed)
        assert all(1 <= len(boards) <= MOST for boards in streams.values())
    for _ in range(24):
        streams = carried_out(streams, wanted, tidy=True)
    sizes = sorted(map(len, streams.values()))
    assert sorted(board for boards in streams.values() for board in boards) == sorted(wanted)
    assert len(sizes) < 2 or sizes[0] + sizes[1] > MOST
    assert carried_out(streams, wanted, tidy=True) == streams
