"""Requests that Hypothesis makes up, answered alike with the fast path and without."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .two_servers import ADD, QUIET, SCORE, TAKEN, TwoServers, two

__all__ = ["two"]  # fixtures

NAMES = st.sampled_from(
    [
        *("Host", "Accept", "Last-Event-ID", "Content-Type", "Content-Length", "Connection"),
        *("Origin", "If-None-Match", "Cache-Control", "Cookie", "X-Forwarded-For", "X-A", "Expect"),
        *("Transfer-Encoding", "Sec-Fetch-Site", "Upgrade", "Idempotency-Key", "Authorization"),
    ]
)
VALUES = st.one_of(
    st.sampled_from(
        [
            *("localhost", "text/event-stream", "*/*", "$ID", "1-1", "application/json", "2", "0"),
            *("close", "keep-alive", "chunked", "same-origin", "no-cache", '"x"', "", "identity"),
            *("application/json; charset=utf-8", "text/event-stream;q=0.5, */*", "localhost:80"),
        ]
    ),
    st.text(st.characters(max_codepoint=0xFF), max_size=12),
)
BLANKS = st.sampled_from(["", " ", "  ", "\t", " \t "])
TARGETS = st.one_of(
    st.sampled_from(
        [
            *("/boards/quiet/", f"/boards/{QUIET}/events/", f"/boards/{QUIET}"),
            *(f"/boards/{QUIET}/events?since=$ID&wait=0.01", f"/boards/{QUIET}/events/?since=$ID"),
            *(f"/boards/{QUIET}/events/?since=1-1", f"/boards/{QUIET}/events?stream"),
            *("/boards/demo/players/mars", "/boards/demo/players/x/", ADD, "/healthz", SCORE),
            *("/boards/shut/?fields=count,rank", "/boards/demo/?limit=2", f"{ADD}?create=1"),
            *("/boards/demo/scores/", "/boards/demo/players/", "/boards/demo/players/?limit=1"),
            *(f"/boards/{QUIET}/?at=99999999999999", f"/boards/{QUIET}/history/?points=2"),
        ]
    ),
    st.builds("/boards/a{}".format, st.text(st.characters(max_codepoint=0x7F), max_size=12)),
    st.builds(
        "/boards/quiet/events/?{}".format,
        st.text(st.sampled_from("since=wait&history123.-;+%#? "), max_size=16),
    ),
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request that is plain, for the most part."""

    def cased(name: str) -> str:
        return draw(st.sampled_from([name, name.lower(), name.upper(), name.swapcase()]))

    method = draw(st.sampled_from(["GET", "GET", "GET", "POST", "POST", "HEAD", "get", "PATCH"]))
    body = draw(
        st.sampled_from(
            ["", "", "{}", '{"amount": 2}', '{"amount":', "amount=1", "[]", '{"score": 3}']
        )
    )
    if method != "POST":
        body = ""
    fields = [("Host", "localhost")]
    if body:
        fields += [("Content-Length", str(len(body))), ("Content-Type", "application/json")]
    if draw(st.booleans()):
        fields += draw(st.lists(st.tuples(NAMES, VALUES), max_size=3))
    fields = draw(st.permutations(fields))
    lines = [f"{cased(n)}:{draw(BLANKS)}{v}{draw(BLANKS)}" for n, v in fields]
    version = draw(st.sampled_from(["HTTP/1.1"] * 6 + ["HTTP/1.0", "HTTP/2.0", "HTTP/1.2"]))
    end = draw(st.sampled_from(["\r\n"] * 12 + ["\n"]))
    head = end.join([f"{method} {draw(TARGETS)} {version}", *lines, "", ""])
    return (head + body).encode("latin-1")


@st.composite
def plain_requests(draw: st.DrawFn) -> bytes:
    """One that the fast path ought to take, in any spelling."""
    name = draw(st.sampled_from(sorted(TAKEN)))
    head, _, body = TAKEN[name].decode("latin-1").partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    extra = ["X-A: \xe9", "Accept-Language: de;q=0.5", "Cookie: a=b", 'User-Agent: "x" (y)', "X:"]
    lines = draw(st.permutations(lines + draw(st.lists(st.sampled_from(extra), unique=True))))
    spelled = [first]
    for line in lines:
        field, _, value = line.partition(":")
        field = draw(st.sampled_from([field, field.lower(), field.upper(), field.swapcase()]))
        spelled.append(f"{field}:{draw(BLANKS)}{value.strip()}{draw(BLANKS)}")
    return ("\r\n".join([*spelled, "", ""]) + body).encode("latin-1")


@st.composite
def connections(draw: st.DrawFn) -> bytes:
    """What comes over one connection: requests, perhaps with a byte that should not be there."""
    data = b"".join(draw(st.lists(requests(), min_size=1, max_size=3)))
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(data) - 1))
        data = data[:at] + draw(st.binary(max_size=2)) + data[at + draw(st.integers(0, 2)) :]
    return data


@settings(
    max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=connections(), cuts=st.lists(st.integers(0, 400), max_size=2))
def test_whatever_is_sent_both_ways_say_the_same(
    two: TwoServers, data: bytes, cuts: list[int]
) -> None:
    two.compare(data, cuts)


def test_what_is_plain_is_answered_alike_in_any_spelling(two: TwoServers) -> None:
    plain = st.lists(plain_requests(), min_size=1, max_size=4)

    @settings(max_examples=400, deadline=None)
    @given(sent=plain, cuts=st.lists(st.integers(0, 900)))
    def is_answered_alike(sent: list[bytes], cuts: list[int]) -> None:
        # What stands behind the last request of a connection may cost its answer.
        closing = [data for data in sent if b"close" in data.lower()]
        data = b"".join([*(data for data in sent if data not in closing), *closing[:1]])
        two.compare(data, cuts[:2])

    before = two.taken_in_all
    is_answered_alike()
    taken = two.taken_in_all - before
    assert taken > 200, "or this compares Tornado with itself"
