"""What goes over a stream, from the hub's events to what a client makes of its bytes."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tornado_board.realtime.catchup import CatchUps
from tornado_board.realtime.topic import Topic
from tornado_board.realtime.wires import Message, Sent, gzip_sse, poll, reset, update
from tornado_board.realtime.wires.checksum import Content, Joined
from tornado_board.realtime.wires.gzip_sse import GZIP
from tornado_board.realtime.wires.sse import CHUNKED, RAW
from tornado_board.replay import Event, EventId
from tornado_board.web.exchange import SSEWire

from .wire_clients import (
    PlainClient,
    SecureClient,
    dechunked,
    events,
    join,
    keep_alive,
    read,
    shown,
)


class Model:
    """What a client that is behind is sent: the newest state, and all else."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.pending: list[list[Sent]] = []
        #: Whether anything was left out.
        self.skipped = False

    def send(self, message: list[Sent], behind: bool) -> None:
        if behind:
            states = [sent.type.state for older in self.pending for sent in older]
            self.skipped = self.skipped or any(states)
            kept = ([sent for sent in older if not sent.type.state] for older in self.pending)
            self.pending = [*filter(None, kept), message]
        else:
            assert not self.pending
            self.sent += message

    def begin_all_but(self, waiting: int) -> None:
        """All but so many of the pending messages have begun, and are not taken back."""
        while len(self.pending) > waiting:
            self.sent += self.pending.pop(0)


# Characters that some program or other ends a line at.
TEXTS = st.text(st.sampled_from('ab\n\r\x85\u2028\u2029\v\f\x1c\x1d\x1e\\"{}é☃😀'), max_size=60)
IDS = st.none() | st.builds(EventId, st.integers(1, 10**15), st.integers(1, 10**6))
EVENTS = st.builds(lambda id, text: Event(id, json.dumps(text, ensure_ascii=False)), IDS, TEXTS)
STEPS = st.one_of(
    st.tuples(EVENTS, st.none() | st.sampled_from(["lost", "trimmed\u2028"])),
    st.integers(0, 300),
    st.just("keep-alive"),
)


@pytest.mark.parametrize("client_type", [PlainClient, SecureClient])
@pytest.mark.parametrize("wire", [RAW, CHUNKED, GZIP])
@given(first=EVENTS, room=st.integers(0, 300), steps=st.lists(STEPS, max_size=14))
def test_whatever_is_sent_however_it_is_taken_is_read_as_it_was_meant(
    client_type: type[PlainClient | SecureClient],
    wire: SSEWire,
    first: Event,
    room: int,
    steps: list[Any],
) -> None:
    async def run() -> tuple[bytes, Model]:
        client, model = client_type(), Model()
        topic = Topic("b", first)
        await client.take(room)
        join(topic, client, wire, topic.encoded(wire.message))
        model.send([update(first)], behind=False)
        await client.take(0)
        for step in steps:
            if isinstance(step, int):
                await client.take(step)
            elif step == "keep-alive":
                model.skipped = model.skipped or client.behind
                await keep_alive(topic)
                await client.take(0)
            else:
                event, reason = step
                message = [*([reset(reason)] if reason else []), update(event)]
                model.send(message, client.behind)
                await topic.publish(event, reason)
                await client.take(0)
            model.begin_all_but(len(client.subscriber._pending))
        # A client that goes on reading gets all of the rest; what it is sent then, too.
        await client.take(10**6)
        model.begin_all_but(0)
        topic.end()
        return client.taken, model

    data, model = asyncio.run(run())
    body, finished = read(data, wire)
    # The end of a gzip stream has a checksum of all that was meant for the client.
    assert finished == (wire.chunked and not (wire.deltas and model.skipped))
    assert body.startswith(b"retry: ")
    assert events(body) == shown(model.sent)


@given(
    first=EVENTS,
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("publish"), EVENTS, st.none() | st.just("lost")),
            st.tuples(st.just("join"), st.booleans(), st.integers(0, 200)),
            st.tuples(st.just("take"), st.integers(0, 5), st.integers(0, 300)),
            st.just(("keep-alive", None, None)),
            st.tuples(st.just("leave"), st.integers(0, 5), st.none()),
        ),
        max_size=30,
    ),
)
def test_who_joins_whenever_reads_differences_as_what_they_stand_for(
    first: Event, steps: list[Any]
) -> None:
    """With the current event or without it, since it has seen that, and however slow it is."""

    async def run() -> list[tuple[bytes, Model]]:
        topic = Topic("b", first)
        clients: list[tuple[PlainClient, Model]] = []

        async def publish(event: Event, reason: str | None) -> None:
            message = [*([reset(reason)] if reason else []), update(event)]
            for client, model in clients:
                model.send(message, client.behind)
            await topic.publish(event, reason)
            for client, model in clients:
                await client.take(0)
                model.begin_all_but(len(client.subscriber._pending))

        for kind, what, size in [*steps, ("publish", first, None)]:
            if kind == "publish":
                await publish(what, size)
            elif kind == "join":
                client, model = PlainClient(), Model()
                clients.append((client, model))
                await client.take(size if size < 150 else 10**6)
                join(topic, client, GZIP, topic.encoded(GZIP.message) if what else Message())
                if what:
                    model.send([update(topic.current)], behind=False)
            elif kind == "keep-alive":
                for client, model in clients:
                    model.skipped = model.skipped or client.behind
                await keep_alive(topic)
            elif what < len(clients):
                client, model = clients[what]
                if kind == "take":
                    await client.take(size)
                    model.begin_all_but(len(client.subscriber._pending))
                else:
                    client.subscriber.close()
                    del clients[what]
        for client, model in clients:
            await client.take(10**6)
            model.begin_all_but(0)
        topic.end()
        return [(client.taken, model) for client, model in clients]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gzip_sse, "WORTH_DEFLATING", 2)
        results = asyncio.run(run())
    for data, model in results:
        body, finished = read(data, GZIP)
        assert events(body) == shown(model.sent)
        assert finished != model.skipped


def test_of_a_large_board_little_is_left_of_an_event() -> None:
    players = [{"id": f"p{i}", "name": f"Player {i}", "score": i * 37} for i in range(100)]
    before = update(Event(EventId(1_795_907_112_802, 7), json.dumps(players)))
    players[50]["score"] = 1
    event = update(Event(EventId(1_795_907_112_902, 8), json.dumps(players)))
    plain = CHUNKED.following(before, [event], 1_000)
    delta = GZIP.following(before, [event], 1_000)
    assert len(delta) < len(delta.independent) / 5 < len(plain) / 5
    # For a few it costs more to deflate it than to send it.
    assert len(plain) <= len(GZIP.following(before, [event], 1)) <= len(plain) + 10


@given(st.lists(st.binary(max_size=200), min_size=3, max_size=3))
def test_a_checksum_follows_from_those_of_the_parts(parts: list[bytes]) -> None:
    own, shared, more = parts
    assert Content.of(own) + Content.of(more) == Content.of(own + more)
    joined = Joined(Content.of(own), Content.of(shared))
    assert joined.at(Content.of(shared + more)) == Content.of(own + more)
    assert Content.of(own).trailer() == gzip.compress(own)[-8:]


def test_the_id_stands_last_so_that_a_torn_event_is_not_taken_for_one_that_came() -> None:
    event = Event(EventId(5, 6), '{"a":"\u2028\u2029\x85é"}')
    assert RAW.message([update(event)]) == (
        b'event: update\ndata: {"a":"\\u2028\\u2029\\u0085\xc3\xa9"}\nid: 5-6\n\n'
    )
    # One without an id takes the client's position from it; a reset doesn't.
    assert RAW.message([update(Event(None, "{}"))]) == b"event: update\ndata: {}\nid:\n\n"
    assert RAW.message([reset("gone\u2028")]) == (
        b'event: reset\ndata: {"reason":"gone\\u2028"}\n\n'
    )


def test_nothing_is_no_chunk() -> None:
    assert CHUNKED.message([]) == RAW.message([]) == GZIP.message([]) == b""
    assert CHUNKED.keepalive == b"d\r\n: keep-alive\n\r\n"


def test_an_answer_to_a_long_poll_says_where_to_go_on() -> None:
    first, second, nameless = (Event(id, "{}") for id in (EventId(5, 6), EventId(5, 7), None))

    def answered(*sent: Sent) -> tuple[list[str], str]:
        answer = json.loads(poll.answer(sent))
        return [event["event"] for event in answer["events"]], answer["last_event_id"]

    assert answered(update(first), update(second)) == (["update", "update"], "5-7")
    assert answered(reset("gone"), update(first)) == (["reset", "update"], "5-6")
    # After one without an id nobody can tell what follows.
    assert answered(update(first), update(nameless)) == (["update", "update"], "0-0")
    assert answered(reset("gone"), update(nameless)) == (["reset", "update"], "0-0")
    assert json.loads(poll.newest([update(first), update(nameless)]))["last_event_id"] == "0-0"
    assert json.loads(poll.nothing(EventId(5, 7))) == {"events": [], "last_event_id": "5-7"}


def test_an_answer_to_a_long_poll_has_a_bound_and_its_position_is_that_of_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(poll, "MOST_BYTES", 1_000)
    sent = [update(Event(EventId(5, n), f'"{"x" * 300}"')) for n in range(1, 20)]
    given, seen = list(sent), []
    while given:
        answer = json.loads(poll.answer(given))
        assert 1 <= len(answer["events"]) <= 4
        seen += [event["id"] for event in answer["events"]]
        assert answer["last_event_id"] == seen[-1]
        given = sent[len(seen) :]
    assert seen == [str(event.id) for event in sent]
    # Of the history it is the end that counts.
    answer = json.loads(poll.newest(sent))
    assert [event["id"] for event in answer["events"]] == ["5-17", "5-18", "5-19"]
    assert answer["last_event_id"] == "5-19"
    # An event that is larger than the bound is sent all the same.
    large = update(Event(EventId(5, 1), f'"{"x" * 3000}"'))
    assert len(json.loads(poll.answer([large, large]))["events"]) == 1
    assert len(json.loads(poll.newest([large, large]))["events"]) == 1
    # A reset never comes without what follows it.
    assert [e["event"] for e in json.loads(poll.answer([reset("x" * 2000), large]))["events"]] == [
        "reset",
        "update",
    ]


@pytest.mark.parametrize("client_type", [PlainClient, SecureClient])
@pytest.mark.parametrize("size", [10, 5_000])
def test_a_catch_up_is_shared_and_stays_whole_for_who_takes_it_late(
    client_type: type[PlainClient | SecureClient], size: int
) -> None:
    """Also where not even the response's head was taken at once."""
    logged = [Event(EventId(5, n), f'"{n}{"x" * size}"') for n in range(1, 5)]

    class Log:
        async def since(self, board_id: str, event_id: EventId) -> Sequence[Event]:
            return logged[event_id.n :]

    async def run() -> list[bytes]:
        log: Any = Log()
        catch_ups, topic = CatchUps(log), Topic("b", logged[-1])
        clients = [client_type() for _ in range(3)]
        for room, client in zip((0, 30, 200), clients, strict=True):
            await client.take(room)
            first = await catch_ups.after(topic, EventId(5, 1), CHUNKED.message)
            topic.add(client.subscriber, CHUNKED)
            client.subscriber.begin(CHUNKED.opening(), first.encoded)
            await client.take(0)
        await topic.publish(Event(EventId(5, 5), '"skipped"'))
        await topic.publish(Event(EventId(5, 6), '"newest"'))
        for client in clients:
            await client.take(10**6)
        return [client.taken for client in clients]

    for taken in asyncio.run(run()):
        assert [seen.data[0] for seen in events(dechunked(taken)[0])] in (
            ["2", "3", "4", "n"],
            ["2", "3", "4", "s", "n"],
        )
