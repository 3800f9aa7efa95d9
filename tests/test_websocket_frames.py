"""The frames of a WebSocket, read and written."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tornado_board.realtime.wires import reset, update
from tornado_board.realtime.wires.websocket import (
    WEBSOCKET,
    ClientFrames,
    Control,
    Opcode,
    ProtocolError,
    closing_answer,
    frame,
)
from tornado_board.replay import Event, EventId
from tornado_board.server import Running
from tornado_board.settings import Settings

from .websocket_bytes import masked, taken_apart

Serving = Callable[[Settings], Awaitable[Running]]

without_deadline = hypothesis_settings(deadline=None)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 100_000])
def test_a_frame_says_how_long_it_is(size: int) -> None:
    assert taken_apart(frame(Opcode.TEXT, b"x" * size)) == [(0x81, b"x" * size)]


def test_events_are_text_frames_of_json_and_resets_are_kept() -> None:
    event = Event(EventId(5, 7), '{"id":"b","name":"\u2028é","players":[]}')
    message = WEBSOCKET.message([reset("it is too old"), update(event), update(Event(None, "{}"))])
    frames = [(first, json.loads(text)) for first, text in taken_apart(message)]
    first = {"id": None, "event": "reset", "data": {"reason": "it is too old"}}
    assert frames == [
        (0x81, first),
        (0x81, {"id": "5-7", "event": "update", "data": json.loads(event.data)}),
        (0x81, {"id": None, "event": "update", "data": {}}),
    ]
    assert message.kept is not None
    assert taken_apart(message.kept) == taken_apart(message)[:1]
    assert WEBSOCKET.message([update(event)]).kept is None
    assert WEBSOCKET.message([]) == b""


#: Frames by opcode, size and whether they end a message.
_FRAMES = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from([0x0, 0x1, 0x2]),
            st.integers(0, 300) | st.just(70_000),
            st.booleans(),
        ),
        st.tuples(st.sampled_from([0x9, 0xA]), st.integers(0, 125), st.just(True)),
    ),
    max_size=12,
)


@without_deadline
@given(_FRAMES, st.binary(min_size=4, max_size=4), st.lists(st.integers(1, 50_000), max_size=30))
def test_control_frames_are_found_wherever_reads_end(
    sent: list[tuple[int, int, bool]], key: bytes, cuts: list[int]
) -> None:
    payloads = [bytes((i + size) % 256 for i in range(size)) for _, size, _ in sent]
    data = b"".join(
        masked(opcode, payload, final=final, key=key)
        for (opcode, _, final), payload in zip(sent, payloads, strict=True)
    )
    reader, found = ClientFrames(), list[Control]()
    for cut in [*cuts, *([7] * 30)]:
        found += reader.feed(data[:cut])
        data = data[cut:]
    found += reader.feed(data)
    expected = zip(sent, payloads, strict=True)
    assert found == [Control(Opcode(op), payload) for (op, _, _), payload in expected if op >= 8]


@without_deadline
@given(st.lists(st.binary(max_size=200), max_size=20))
def test_no_bytes_of_a_client_do_harm(parts: Sequence[bytes]) -> None:
    """They are frames, or they are not; what is kept of them is one control frame at the most."""
    reader = ClientFrames()
    with contextlib.suppress(ProtocolError):
        for part in parts:
            reader.feed(part)
            assert len(reader._partial) < 14 + 125


@pytest.mark.parametrize(
    "data",
    [
        frame(Opcode.PING),  # not masked
        masked(0x3, b""),
        masked(0xB, b""),
        masked(0x41, b""),  # an extension's bit
        masked(Opcode.PING, b"x" * 126),
        masked(Opcode.PING, b"", final=False),
        masked(Opcode.CLOSE, b"x" * 126),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_frame_of_a_client_is_told_apart(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        ClientFrames().feed(data)


@pytest.mark.parametrize(
    ("payload", "answered"),
    [
        (b"", b""),
        (b"\x03\xe8", b"\x03\xe8"),
        (b"\x03\xe8bye", b"\x03\xe8"),
        (b"\x0f\xa0", b"\x0f\xa0"),  # 4000
        (b"\x03", b"\x03\xea"),
        (b"\x03\xed", b"\x03\xea"),  # 1005 is never sent
        (b"\x00\x01", b"\x03\xea"),
        (b"\x03\xe8\xff", b"\x03\xea"),
    ],
)
def test_a_close_frame_is_answered(payload: bytes, answered: bytes) -> None:
    assert taken_apart(closing_answer(payload)) == [(0x88, answered)]
