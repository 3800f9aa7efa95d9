"""A player whose place is watched, and those who watch it."""

from __future__ import annotations

import asyncio
import zlib
from functools import partial

import ujson

from tornado_board.metrics import Clients, Metrics, NoMetrics
from tornado_board.models import Number, Player
from tornado_board.realtime.audience import Audience, Member, broadcast
from tornado_board.realtime.wires import LONG_POLL, PLAYER_GONE, RANK, End, Message, Sent, Wire
from tornado_board.realtime.wires.checksum import Joined

#: Where somebody stands: how many players there are, how many of them are better, and the next
#: better score.
Standing = tuple[int, int, Number | None]


class Watched:
    """One player's place, and its clients. It is a state: whoever comes gets the newest."""

    def __init__(self, player_id: str, metrics: Metrics | None = None) -> None:
        self._metrics = metrics or NoMetrics()
        self.player_id = player_id
        #: As the store, or later the feed, had it; ``None`` before that, and once it is gone.
        self.player: Player | None = None
        #: Whether it has no place only since a season has ended: it may come back in the next one.
        self.waits = False
        #: How often the feed told of it.
        self.told = 0
        self.waiters: set[asyncio.Future[None]] = set()
        self.waiting: Clients = self._metrics.clients("place", LONG_POLL)
        self.sent_at = 0.0
        self._audiences: dict[Wire, Audience] = {}
        #: Held while something is sent, if that takes more than a moment.
        self._turn = asyncio.Lock()
        #: What `current` shows; ``None`` before there is one.
        self._shown: Player | None = None
        self._standing: Standing | None = None
        self._current: Sent | None = None
        #: Whether there is a `current` one; until then it is being opened.
        self.is_shown = False
        self._name = self._name_json = ""
        #: What `current` says of the player itself.
        self._player_json = ""

    @property
    def clients(self) -> int:
        """Open streams and waiting long-polls."""
        return sum(map(len, self._audiences.values())) + len(self.waiters)

    @property
    def current(self) -> Sent:
        """The newest place."""
        assert self._current is not None
        return self._current

    @property
    def tag(self) -> str:
        """The same for the same place, in every process."""
        return f"{zlib.crc32(self.current.data.encode()):08x}"

    def show(self, standing: Standing) -> Sent | None:
        """Note where the player stands; the event that tells of it, if that is news."""
        player, before = self.player, self._shown
        assert player is not None
        if standing == self._standing and (
            player is before
            or (before is not None and (player.score, player.name) == (before.score, before.name))
        ):
            return None
        self._shown, self._standing = player, standing
        self.is_shown, self.waits = True, False
        of, better, following = standing
        if player is not before:
            self._call(player.name)
            score = _number(player.score)
            self._player_json = f'"id":"{self.player_id}","name":{self._name_json},"score":{score}'
        to_next: Number | str = "null" if following is None else abs(following - player.score)
        if type(to_next) is float:
            to_next = _number(to_next)
        event = self._current = Sent(
            RANK, f'{{{self._player_json},"rank":{better + 1},"of":{of},"to_next":{to_next}}}'
        )
        return event

    def show_none(self, of: int, name: str | None = None) -> bool:
        """Note that the player has no place yet in the season, which has `of` players; whether that
        is news. `name` is the player's, if that is not known yet."""
        if name is not None:
            self._call(name)
        data = (
            f'{{"id":"{self.player_id}","name":{self._name_json},"score":null,'
            f'"rank":null,"of":{of},"to_next":null}}'
        )
        if self._current is not None and self._current.data == data:
            return False
        self._shown = self._standing = None
        self._current, self.is_shown = Sent(RANK, data), True
        return True

    def _call(self, name: str) -> None:
        if name != self._name:
            self._name = name
            self._name_json = ujson.dumps(name, ensure_ascii=False, escape_forward_slashes=False)

    def show_as_told(self, player: Player | None, data: str) -> bool:
        """Note the place of `player` that another server tells as `data`; whether that is news.
        ``None``: it has none yet in the season."""
        self.player = player
        if self._current is not None and self._current.data == data:
            return False
        self._current, self.is_shown = Sent(RANK, data), True
        return True

    def add(self, member: Member, wire: Wire) -> None:
        """Send `member` each place from now on."""
        audience = self._audiences.get(wire)
        if audience is None:
            clients = self._metrics.clients("place", wire.transport)
            audience = self._audiences[wire] = Audience(partial(_end_of, wire), clients=clients)
        audience.add(member)

    def send_now(self, event: Sent) -> bool:
        """Send `event` to everybody, if those are few and over one wire; whether that was so."""
        if len(self._audiences) != 1:
            return False
        [(wire, audience)] = self._audiences.items()
        if not audience.send_now(wire.message((event,))):
            return False
        if self.waiters:
            self.wake()
        return True

    async def send(self, event: Sent) -> None:
        """Send `event` to everybody."""
        for wire, audience in self._audiences.items():
            message = wire.message((event,))
            if not audience.send_now(message):
                await self._send(audience, message)
        if self.waiters:
            self.wake()

    async def keep_alive(self) -> None:
        """Send a comment."""
        for wire, audience in self._audiences.items():
            if not audience.send_now(wire.keepalive):
                await self._send(audience, wire.keepalive)

    async def drop_dead(self, patience: float) -> None:
        """Close those whose peer has vanished."""
        async with self._turn:
            for audience in self._audiences.values():
                audience.hold()
                try:
                    await audience.drop_dead(patience)
                finally:
                    audience.release()

    def wake(self) -> None:
        """Have all who wait look again."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def lose(self) -> None:
        """There is no such player any more: say so, and end."""
        self.player = None
        await self.send(Sent(PLAYER_GONE, ujson.dumps({"id": self.player_id})))
        self.end(End.PLAYER_GONE)

    def end(self, why: End) -> None:
        """End every stream."""
        for audience in self._audiences.values():
            audience.finish(why)
        self.wake()

    async def _send(self, audience: Audience, message: Message) -> None:
        async with self._turn:
            await broadcast({audience: message})


def _end_of(wire: Wire, why: End, joined: Joined | None, last: Message) -> bytes:
    return last + wire.end(None, why)


def _number(value: Number) -> str:
    return str(value) if isinstance(value, int) else str(ujson.dumps(value))
