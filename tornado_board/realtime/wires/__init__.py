"""What is sent to a board's subscribers, and how one transport says it: the `Wire` protocol.

Each transport has a file of its own here, and no other file of `realtime` knows a byte of it.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import ujson

from tornado_board.models import shows_end
from tornado_board.realtime.wires.checksum import Content
from tornado_board.replay import Event, EventId


class EventType(NamedTuple):
    """A type of event: its name, and what a transport has to know about all events of it."""

    name: str
    #: Whether each one is the whole state, so that a client that is behind can do without it once
    #: there is a newer one.
    state: bool
    #: Whether each one stands in the replay log under an id, or would if the log were there.
    logged: bool


#: A board as it is now.
UPDATE = EventType("update", state=True, logged=True)
#: The final board of a season that is over; the board of the next one follows.
SEASON = EventType("season", state=False, logged=True)
#: A client's history is gone; what follows is a new beginning.
RESET = EventType("reset", state=False, logged=False)
#: The client may listen no longer: what let it in has run out. The stream ends.
EXPIRED = EventType("expired", state=False, logged=False)
#: On a stream of several boards: one of them is not there, or was deleted.
BOARD_GONE = EventType("gone", state=False, logged=True)

#: A player's place on its board.
RANK = EventType("rank", state=True, logged=False)
#: On the stream of a place: there is no such player any more.
PLAYER_GONE = EventType("gone", state=False, logged=False)


class Sent(NamedTuple):
    """An event as subscribers are sent it. `data` is JSON on one line. On a stream of several
    boards `id` has the positions in all of them: see `positions.spell`."""

    type: EventType
    data: str
    id: EventId | str | None = None


def update(event: Event) -> Sent:
    """The ``update`` that shows `event`; the ``season`` where that is the end of one."""
    return Sent(type_of(event), event.data, event.id)


def type_of(event: Event) -> EventType:
    """As what `event` is sent."""
    return SEASON if shows_end(event.data) else UPDATE


def reset(reason: str) -> Sent:
    """The ``reset`` that gives `reason`."""
    return Sent(RESET, ujson.dumps({"reason": reason}, ensure_ascii=False))


def expired() -> Sent:
    """The ``expired`` that a stream ends with."""
    return Sent(EXPIRED, ujson.dumps({"reason": End.EXPIRED.value}))


#: Events whose bytes are kept: one that goes to many sets of boards is under another id in each.
_RECENT = 64

#: The longest data, in characters, of an event whose bytes are kept.
_RECENT_LENGTH = 16_384


def kept_recently(encode: Callable[[str, str], bytes]) -> Callable[[str, str], bytes]:
    """`encode`, a function of an event's name and data, with what it gave for the newest events
    kept as far as they are short."""
    kept = functools.lru_cache(maxsize=_RECENT)(encode)

    @functools.wraps(encode)
    def encoded(name: str, data: str) -> bytes:
        return (kept if len(data) <= _RECENT_LENGTH else encode)(name, data)

    return encoded


def event_json(sent: Sent) -> bytes:
    """An event as JSON, on one line."""
    event_id = b"null" if sent.id is None else b'"%b"' % str(sent.id).encode()
    return b'{"id":%b%b' % (event_id, _behind_id(sent.type.name, sent.data))


@kept_recently
def _behind_id(name: str, data: str) -> bytes:
    # The data is JSON already.
    return f',"event":"{name}","data":{data}}}'.encode()


class End(enum.Enum):
    """Why a stream ends, as its client is told where the transport can tell."""

    DELETED = "the board was deleted"
    PLAYER_GONE = "the player was deleted"
    STOPPING = "the server is stopping"
    EXPIRED = "the token has expired"
    #: Who may read the board comes back.
    PRIVATE = "the board has become private"
    #: The client has ended its side of the connection.
    PARTED = "the client has ended the connection"


class Part(Protocol):
    """What one message is of several that count for themselves: see `parts.Part`."""

    def behind(self, pending: tuple[Message, ...]) -> tuple[Message, ...]:
        """See `Message.behind`."""


class Message(bytes):
    """What is handed to a socket at once: events as one wire frames them, always whole.

    `kept` is what has to arrive of them even if the client is so far behind that a newer message
    takes this one's place: those that are no state. `independent` is the same message for a client
    that was not sent the one before it; it is another one where a wire sends differences. `content`
    is what a client reads in it, where a wire needs that at the end of a stream.
    """

    content: Content | None = None
    #: Says what it means to be behind, where the newest message is not all that counts.
    part: Part | None = None

    _kept: bytes = b""
    _independent: Message | Callable[[], Message] | None = None

    @classmethod
    def of(
        cls, data: bytes, kept: bytes = b"", independent: Callable[[], Message] | None = None
    ) -> Message:
        message = cls(data)
        if kept:
            message._kept = kept
        if independent is not None:
            message._independent = independent
        return message

    @property
    def independent(self) -> Message:
        """What can be read whatever was sent before."""
        if self._independent is None:
            return self
        if not isinstance(self._independent, Message):
            # Made when the first client needs it: most often none does.
            self._independent = self._independent()
        return self._independent

    @property
    def kept(self) -> Message | None:
        """What has to arrive, if anything."""
        return Message.of(self._kept, self._kept) if self._kept else None

    def behind(self, pending: tuple[Message, ...]) -> tuple[Message, ...]:
        """What waits for a client that is behind once this comes, while `pending` waits already."""
        if self.part is not None:
            return self.part.behind(pending)
        kept = (message.kept for message in pending)
        # Something may be missing before this.
        return (*(message for message in kept if message is not None), self.independent)

    @property
    def now(self) -> Message:
        """What has waited, to be sent now."""
        return self


class Comment(Message):
    """A message that says nothing, and is not kept for a client that is behind."""

    def behind(self, pending: tuple[Message, ...]) -> tuple[Message, ...]:
        return pending


def content_of(opening: Message, first: Message) -> Content | None:
    """What a client reads in both, where its wire needs that."""
    if opening.content is None or first.content is None:
        return opening.content
    return opening.content + first.content


#: What long-polls are called.
LONG_POLL = "long-poll"

#: Makes one message, or one whole answer, of the events that it is given.
Encode = Callable[[Sequence[Sent]], Message]


class Wire(Protocol):
    """A transport that keeps a connection open and sends each event over it."""

    #: What it is called.
    transport: str

    #: Whether who was sent an event gets no other: it comes back for the next.
    once: bool

    #: Whether `following` can make something of what was sent before.
    deltas: bool

    @property
    def keepalive(self) -> Comment:
        """What is sent to a client that has been sent nothing for a while."""

    def opening(self) -> Message:
        """What a stream begins with, made anew for each client."""

    def end(self, sent: Content | None, why: End) -> bytes:
        """What the server says last to a client that it has `sent` all that (``None`` where that
        is not known), where it ends the stream on purpose."""

    def message(self, events: Sequence[Sent]) -> Message:
        """`events` as one message, which can be read whatever was sent before; empty for none."""

    def following(self, before: Sent | None, events: Sequence[Sent], listeners: int) -> Message:
        """`events`, of which there is one at least, for `listeners` clients whose streams end with
        `before`; ``None`` where that can't be said of all of them."""
