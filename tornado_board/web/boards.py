"""``/boards/`` and ``/boards/{board}/``."""

from __future__ import annotations

import functools
import urllib.parse
from collections.abc import Awaitable
from typing import ClassVar

from tornado_board.auth.policy import Action, Actions
from tornado_board.inputs import UNSET, BoardPatch, NewBoard
from tornado_board.models import Board, is_id
from tornado_board.realtime.hub import LimitReached
from tornado_board.replay import EVENT_ID_PATTERN, EventId
from tornado_board.store import StoreError, StoreUnavailable
from tornado_board.web import answers, history, polls, streams
from tornado_board.web.accept import EVENT_STREAM
from tornado_board.web.board_reads import BoardRead
from tornado_board.web.described import (
    Body,
    Identifier,
    Integer,
    Names,
    Operation,
    SeasonNumber,
    Told,
    check,
    json_of,
)
from tornado_board.web.exchange import Answer, Asked, Opened, Resource, Services, Waiting
from tornado_board.web.handler import Handler
from tornado_board.web.handover import answer_head, wants_events
from tornado_board.web.idempotency import id_of
from tornado_board.web.parameters import wants_stream
from tornado_board.web.problems import Problem
from tornado_board.web.shapes import BoardList, Polled, ShownBoard, StreamedEvent, WholeBoard

#: The most boards that one answer lists, and the most players of a board.
MOST_BOARDS = 1000
MOST_PLAYERS = 100

_LIMIT = Integer(
    name="limit", text="How many boards.", default=MOST_BOARDS, low=1, high=MOST_BOARDS
)
_AFTER = Identifier(name="after", text="The id after which the list begins.")
_SETTINGS = Names(name="fields", text="What is shown, too.", known=("settings",))
_PLAYERS = Integer(
    name="limit",
    text="How many players; as many as the board's `top` without it.",
    default=None,
    low=1,
    high=MOST_PLAYERS,
)
_FIELDS = Names(
    name="fields", text="What is shown, too.", known=("settings", "count", "meta", "rank")
)

#: The season that is to be seen.
SEASON = SeasonNumber()

_NEW, _PATCH = Body(NewBoard, empty=True), Body(BoardPatch)

#: What an event's id is, or nothing at all.
_EVENT_ID = f"^({EVENT_ID_PATTERN})?$"

#: What a request for events is answered.
EVENTS_ANSWERS = {
    101: Told("A WebSocket; its messages are the events."),
    200: Told(
        "The events: those there are, or a stream that goes on.",
        {**json_of(Polled), EVENT_STREAM: StreamedEvent},
    ),
}

#: How often the store is asked for boards that may be listed, and for how many at least.
_MOST_READS = 10
_LEAST_READ = 200


def path_of(board_id: str, player_id: str | None = None) -> str:
    """The path of a board or, with two ids, of a player, below the server's base path.

    Ids need no escape.
    """
    path = f"/boards/{board_id}/"
    return path if player_id is None else f"{path}players/{player_id}/"


class WholeBoardHandler(Handler):
    """Answers with a board that was written."""

    async def send_whole(self, board: Board, count: Awaitable[int], status: int = 200) -> None:
        """Answer with a board that was written, and with its `count` of players if the store can
        tell it."""
        self.gate.privacy.note(board.id, board.private)
        try:
            players = await count
        except StoreError:
            players = None  # the board was written all the same
        self.send_json(answers.whole_board(board, players), status)


class BoardsHandler(WholeBoardHandler):
    actions = Actions(get=Action.LIST, post=Action.WRITE)
    operations: ClassVar = {
        "GET": Operation(
            parameters=(_LIMIT, _AFTER, _SETTINGS),
            answers={200: Told("A page of the list.", json_of(BoardList), ("ETag", "Link"))},
        ),
        "POST": Operation(
            body=_NEW, answers={201: Told("It is made.", json_of(WholeBoard), ("Location",))}
        ),
    }

    async def get(self) -> None:
        """List the boards in the order of their ids, from the one after ``after``."""
        fields, limit = _SETTINGS.of(self), _LIMIT.of(self)
        boards, after = await self._listed(limit + 1, _AFTER.of(self))
        if len(boards) > limit:
            boards = boards[:limit]
            after = boards[-1].id
        if after:
            query = urllib.parse.urlencode(
                {"limit": limit, "after": after} | ({"fields": ",".join(fields)} if fields else {})
            )
            self.set_header("Link", f'<{self.prefix}/boards/?{query}>; rel="next"')
        self.set_header("Cache-Control", "no-cache")
        self.send_json({"boards": [answers.listed_board(b, fields) for b in boards]})

    async def _listed(self, count: int, after: str) -> tuple[list[Board], str]:
        """The first `count` boards behind the id `after` that have an id of this API, and that the
        caller may read.

        Another program may have stored others, or an earlier version: nothing leads to them. Of
        very many in a row that are left out only some are looked at; then there is an id to go on
        after.
        """
        listed: list[Board] = []
        size = max(count, _LEAST_READ)
        for _ in range(_MOST_READS):
            boards = await self.store.list_boards(size, after)
            listed += [board for board in boards if is_id(board.id) and self.may_read(board)]
            if len(boards) < size or len(listed) >= count:
                return listed[:count], ""
            after = boards[-1].id
        return listed, after

    async def post(self) -> None:
        """Make a board."""
        new, once = _NEW.of(self), self.once
        if once is not None:
            new.id = new.id or id_of(once)
        self.check(new.id or "")  # an id that is made up only a token for every board covers
        board = await self.store.create_board(new, once, audited=self.audited)
        self.ranks.forget(board.id)
        self.services.wrote(board.id)  # there may have been one of that id a moment ago
        self.created(path_of(board.id))
        # Not the ranks' count: who makes a board does not ask for its ranks yet.
        await self.send_whole(board, self.store.count(board.id), 201)


async def board(asked: Asked, board_id: str) -> Answer | Opened:
    """The board and its best players, or its event stream."""
    if wants_stream(asked):
        _check_stream(asked)
        return await streams.stream(asked, board_id)
    if asked.argument(history.AT.name) is not None:
        if asked.argument(SEASON.name) is not None:
            raise Problem(400, "at and season: send one of them.")
        return await history.board_at(asked, board_id)
    limit, fields, wanted = _PLAYERS.of(asked), _FIELDS.of(asked), SEASON.of(asked)
    services = asked.services
    if not limit and not fields and wanted is None:
        return _shown(await services.reads.read(board_id, anew=wants_anew(asked)))
    # Taken before the board is read: a stream from here may repeat a change, but misses none.
    position = None if wanted is not None else await _position(services, board_id)
    ranking = await services.store.ranking(board_id, limit, wanted)
    players = ranking.players[: limit or ranking.board.top]
    partition = ranking.board.partition
    count = await services.ranks.count(partition) if "count" in fields else None
    return _answer(BoardRead(answers.board(ranking.board, players, fields, count), position))


def board_at_once(asked: Asked, board_id: str) -> Answer | Opened | None:
    """The same, where that takes no waiting."""
    if wants_stream(asked):
        _check_stream(asked)
        return streams.stream_at_once(asked, board_id)
    if wants_anew(asked):
        return None
    shown = (_PLAYERS, _FIELDS, history.AT, SEASON)
    if any(asked.argument(parameter.name) is not None for parameter in shown):
        return None
    read = asked.services.reads.known(board_id)
    return None if read is None else _shown(read)


def _check_stream(asked: Asked) -> None:
    if asked.argument(SEASON.name) is not None:
        raise Problem(400, "season: an event stream is of the present season; leave it out.")
    check(asked, _PLAYERS, _FIELDS)
    if asked.argument(history.AT.name) is not None:
        raise Problem(400, "at: an event stream has no past; ask for JSON, or for history/.")


def wants_anew(asked: Asked) -> bool:
    """Whether the store is to be read, and not what was read of it a moment ago."""
    return "no-cache" in asked.headers.get("Cache-Control", "").lower()


async def _position(services: Services, board_id: str) -> EventId | None:
    """The id of the board's newest event, if it has one."""
    try:
        return (await services.hub.open(board_id)).current.id
    except (LimitReached, StoreUnavailable):
        return None  # a board may be readable without being live; reading it will tell


def _answer(read: BoardRead) -> Answer:
    fields: tuple[tuple[str, str], ...] = (("Cache-Control", "no-cache"), ("Vary", "Accept"))
    if read.position is not None:
        fields = (("Last-Event-ID", str(read.position)), *fields)
    return Answer(200, f"{read.json}\n".encode(), fields=fields)


_shown = functools.lru_cache(maxsize=256)(_answer)


class BoardHandler(WholeBoardHandler):
    actions = Actions(get=Action.READ, patch=Action.WRITE, delete=Action.WRITE)
    resources: ClassVar = {"GET": Resource(board, board_at_once)}
    operations: ClassVar = {
        "GET": Operation(
            parameters=(_PLAYERS, _FIELDS, history.AT, SEASON, *streams.parameters()),
            answers={
                101: EVENTS_ANSWERS[101],
                200: Told(
                    "The board, or its event stream.",
                    {**json_of(ShownBoard), EVENT_STREAM: StreamedEvent},
                    ("ETag", "Last-Event-ID"),
                ),
            },
            problems=(410, 422, 426),
        ),
        "PATCH": Operation(
            body=_PATCH, answers={200: Told("It is as it is now.", json_of(WholeBoard))}
        ),
        "DELETE": Operation(answers={204: Told("It is deleted.")}),
    }

    async def get(self, board_id: str) -> None:
        """The board and its best players, or its event stream."""
        await _serve(self, board_id)

    async def patch(self, board_id: str) -> None:
        """Change the board's name and settings."""
        patch = _PATCH.of(self)
        board = await self.store.update_board(board_id, patch, self.once, audited=self.audited)
        if patch.order is not UNSET:
            self.ranks.forget(board_id)
        await self.send_whole(board, self.ranks.count(board.partition))

    async def delete(self, board_id: str) -> None:
        """Delete the board and its players."""
        await self.store.delete_board(board_id, audited=self.audited)
        self.ranks.forget(board_id)
        self.no_content()


async def events(asked: Asked, board_id: str) -> Answer | Opened:
    """Long-poll, or the event stream."""
    if wants_stream(asked):
        check(asked, polls.WAIT, polls.HISTORY)
        return await streams.stream(asked, board_id)
    return await polls.long_poll(asked, board_id)


def events_at_once(asked: Asked, board_id: str) -> Answer | Opened | Waiting | None:
    """The same, where that takes no waiting."""
    if wants_stream(asked):
        check(asked, polls.WAIT, polls.HISTORY)
        return streams.stream_at_once(asked, board_id)
    return polls.poll_at_once(asked, board_id)


class EventsHandler(Handler):
    """``/boards/{board}/events/``"""

    actions = Actions(get=Action.READ)
    resources: ClassVar = {"GET": Resource(events, events_at_once)}
    operations: ClassVar = {
        "GET": Operation(
            parameters=(*streams.parameters(_EVENT_ID), polls.WAIT, polls.HISTORY),
            answers=EVENTS_ANSWERS,
            problems=(426,),
        )
    }

    async def get(self, board_id: str) -> None:
        """Long-poll, or the event stream."""
        await _serve(self, board_id)


async def _serve(handler: Handler, board_id: str) -> None:
    if wants_events(handler) and handler.request.method == "HEAD":
        await handler.store.get_board(board_id)
        await answer_head(handler, streams.wire_of(handler))
    else:
        await handler.serve("GET", board_id)
