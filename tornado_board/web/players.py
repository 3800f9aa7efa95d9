"""``/boards/{board}/players/`` and ``/boards/{board}/players/{player}/``."""

from __future__ import annotations

import urllib.parse
from typing import Any, ClassVar

import msgspec

from tornado_board.auth.policy import Action, Actions
from tornado_board.inputs import UNSET, NewPlayer, PlayerPatch
from tornado_board.models import (
    ID_PATTERN,
    Board,
    Player,
    RankedPlayer,
    is_id,
    shown_player,
)
from tornado_board.realtime.ranks import Standing
from tornado_board.seasons import partition_of
from tornado_board.store import Place
from tornado_board.web import answers
from tornado_board.web.attempt import Attempt
from tornado_board.web.boards import SEASON, path_of, wants_anew
from tornado_board.web.cursors import cursor_of, place_of
from tornado_board.web.described import (
    Body,
    Flag,
    Identifiers,
    Integer,
    Names,
    Operation,
    Text,
    Told,
    check,
    json_of,
)
from tornado_board.web.exchange import Answer, Asked, Resource, json_answer
from tornado_board.web.handler import Handler
from tornado_board.web.idempotency import id_of
from tornado_board.web.pages import MOST_IDS, MOST_PLAYERS, USUAL_PLAYERS, Page, Pages
from tornado_board.web.parameters import ID_RULE
from tornado_board.web.previous_ranks import SINCE, check_length, previous_ranks
from tornado_board.web.problems import Problem
from tornado_board.web.shapes import PlayerPage, ShownPlayer
from tornado_board.web.writes import deleted, made, wrote

#: The parameters that say where a page begins.
_BEGINNINGS = ("after", "before", "from_rank", "around", "ids")

#: The greatest rank that can be asked for.
_MOST_RANK = 999_999_999


_LIMIT = Integer(
    name="limit", text="How many players.", default=USUAL_PLAYERS, low=1, high=MOST_PLAYERS
)
_FROM_RANK = Integer(
    name="from_rank",
    text="From the first player whose rank is this or greater.",
    default=None,
    low=1,
    high=_MOST_RANK,
)
_META = Names(name="fields", text="What is shown, too.", known=("meta",))
_HIDDEN = Flag(name="hidden", text="1 for those who are hidden; this takes the scope `admin`.")
_NEW, _PATCH = Body(NewPlayer), Body(PlayerPatch)


class PlayersHandler(Handler):
    actions = Actions(get=Action.READ, post=Action.WRITE)
    operations: ClassVar = {
        "GET": Operation(
            parameters=(
                _LIMIT,
                _META,
                Text(name="after", text="Behind this cursor, which a `Link` has."),
                Text(name="before", text="Before this cursor."),
                _FROM_RANK,
                Text(name="around", text="With this player in the middle.", pattern=ID_PATTERN),
                Identifiers(name="ids", text="These players.", most=MOST_IDS),
                SINCE,
                SEASON,
                _HIDDEN,
            ),
            answers={200: Told("The page.", json_of(PlayerPage), ("ETag", "Link"))},
            problems=(410, 422),
        ),
        "POST": Operation(
            body=_NEW, answers={201: Told("It is made.", json_of(ShownPlayer), ("Location",))}
        ),
    }

    def attempt(self) -> Attempt:
        attempt = super().attempt()
        if attempt.action is Action.READ and _HIDDEN.of(self):
            return msgspec.structs.replace(attempt, action=Action.ADMIN)
        return attempt

    async def get(self, board_id: str) -> None:
        """A page of the board's players, or of those who are hidden."""
        limit, fields = _LIMIT.of(self), _META.of(self)
        if _HIDDEN.of(self):
            await self._send_hidden(board_id, limit, fields)
            return
        wanted = SEASON.of(self)
        check_length(self, limit)
        board, page = await self._page(board_id, wanted, limit)
        players = [shown_player(player, fields) for player in page.players]
        then = await previous_ranks(self, board, page.players)
        shown: dict[str, Any] = {"count": page.count}
        carried: dict[str, str] = {}
        if then is not None:
            carried["since"] = self.argument(SINCE.name) or ""
            shown["since"] = then.shown()
            for row in players:
                row["previous_rank"] = then.ranks.get(row["id"])
        shown["players"] = players
        if page.missing is not None:
            shown["missing"] = page.missing
        path = f"{self.prefix}{path_of(board_id)}players/"
        if wanted is not None:
            carried[SEASON.name] = str(wanted)
        if links := _links(path, page, limit, fields, **carried):
            self.set_header("Link", links)
        self.set_header("Cache-Control", "no-cache")
        self.send_json(shown)

    async def _send_hidden(self, board_id: str, limit: int, fields: tuple[str, ...]) -> None:
        """Answer with a page of the hidden players, by their ids, which has neither ranks nor a
        season."""
        check(self, SEASON, SINCE)
        given = self._beginnings()
        if given.keys() - {"after"}:
            raise Problem(
                400, f"{' and '.join(given)}: with hidden a page begins with after, or nothing."
            )
        after = _place("after", given["after"]).id if given else ""
        found = await self.store.hidden_players(board_id, after, limit + 1)
        page = Page(
            [RankedPlayer.of(player, 0) for player in found[:limit]],
            0,
            has_next=len(found) > limit,
        )
        path = f"{self.prefix}{path_of(board_id)}players/"
        if links := _links(path, page, limit, fields, hidden="1"):
            self.set_header("Link", links)
        self.set_header("Cache-Control", "no-store")
        shown = [answers.hidden_player(player, fields) for player in found[:limit]]
        self.send_json({"players": shown})

    def _beginnings(self) -> dict[str, str]:
        """The parameters that say where a page begins."""
        return {name: text for name in _BEGINNINGS if (text := self.argument(name)) is not None}

    async def _page(self, board_id: str, season: int | None, limit: int) -> tuple[Board, Page]:
        """The board as of the season, and the page that the query asks for."""
        given = self._beginnings()
        if len(given) == 1 and is_id(given.get("around", "")):
            board, player = await self.store.find_player(board_id, given["around"], season)
            return board, await Pages(self.store, self.ranks, board).around(player, limit)
        board = await self.store.get_board(board_id, season)
        pages = Pages(self.store, self.ranks, board)
        if len(given) > 1:
            raise Problem(400, f"{' and '.join(given)}: send one of them; a page begins once.")
        for name, text in given.items():
            match name:
                case "after":
                    return board, await pages.after(_place(name, text), limit)
                case "before":
                    return board, await pages.before(_place(name, text), limit)
                case "from_rank":
                    return board, await pages.from_rank(_FROM_RANK.of(self), limit)
                case "around":
                    raise Problem(400, f"{name}: {ID_RULE}.")
                case _:
                    return board, await pages.of(_ids(text))
        return board, await pages.after(None, limit)

    async def post(self, board_id: str) -> None:
        """Make a player."""
        new, once = _NEW.of(self), self.once
        if once is not None:
            new.id = new.id or id_of(once)
        since = self.ranks.position
        player = await self.store.create_player(board_id, new, once, audited=self.audited)
        made(self, board_id, player, since)
        self.created(path_of(board_id, player.id))
        self.send_json(answers.player(player), status=201)


async def player(asked: Asked, board_id: str, player_id: str) -> Answer:
    """The player with its rank; one that is hidden only for those who may see it."""
    fields = _META.of(asked)
    services = asked.services
    wanted = SEASON.of(asked)
    if wanted is None and not wants_anew(asked):
        found = await services.player_reads.read(board_id, player_id)
    else:
        found = await services.store.get_player(board_id, player_id, wanted, hidden=True)
    if found.hidden:
        if await asked.may(Action.ADMIN):
            shown = answers.hidden_player(found, fields)
            return json_answer(shown, fields=(("Cache-Control", "no-store"),))
        # As of one that is not there, in the words of the store.
        found = await services.store.get_player(board_id, player_id, wanted)
    partition = partition_of(board_id, found.season)
    standing = await services.ranks.standing(partition, found.score)
    return _shown(found, standing, fields)


def player_at_once(asked: Asked, board_id: str, player_id: str) -> Answer | None:
    """The same, where that takes no waiting."""
    if asked.argument(SEASON.name) is not None or asked.argument(_META.name) is not None:
        return None
    if wants_anew(asked):
        return None
    services = asked.services
    found = services.player_reads.known(board_id, player_id)
    if found is None:
        return None
    partition = partition_of(board_id, found.season)
    standing = services.ranks.known(partition, found.score, wanted=False)
    return None if standing is None else _shown(found, standing, ())


def _shown(player: Player, standing: Standing, fields: tuple[str, ...]) -> Answer:
    shown = answers.player(answers.ranked_player(player, standing), fields)
    return json_answer(shown, fields=(("Cache-Control", "no-cache"),))


class PlayerHandler(Handler):
    actions = Actions(get=Action.READ, patch=Action.WRITE, delete=Action.WRITE)
    resources: ClassVar = {"GET": Resource(player, player_at_once)}
    operations: ClassVar = {
        "GET": Operation(
            parameters=(_META, SEASON),
            answers={200: Told("The player.", json_of(ShownPlayer), ("ETag",))},
            problems=(410,),
        ),
        "PATCH": Operation(
            body=_PATCH, answers={200: Told("It is as it is now.", json_of(ShownPlayer))}
        ),
        "DELETE": Operation(answers={204: Told("It is deleted.")}),
    }

    async def get(self, board_id: str, player_id: str) -> None:
        """The player with its rank."""
        await self.serve("GET", board_id, player_id)

    async def patch(self, board_id: str, player_id: str) -> None:
        """Change the player's name, score or meta, or whether it is hidden."""
        patch = _PATCH.of(self)
        if patch.hidden is not UNSET:
            self.check(board_id, action=Action.ADMIN)
        since = self.ranks.position
        result = await self.store.update_player(
            board_id, player_id, patch, self.once, audited=self.audited
        )
        wrote(self, board_id, result, since)
        shown = answers.player(result.player)
        if patch.hidden is not UNSET:
            shown["hidden"] = result.player.hidden
        self.send_json(shown)

    async def delete(self, board_id: str, player_id: str) -> None:
        """Delete the player."""
        since = self.ranks.position
        player = await self.store.delete_player(board_id, player_id, audited=self.audited)
        deleted(self, board_id, player, since)
        self.no_content()


def _place(name: str, text: str) -> Place:
    try:
        return place_of(text)
    except ValueError as error:
        raise Problem(
            400, f"{name}: {error}; take it from the Link header of another page."
        ) from None


def _ids(text: str) -> list[str]:
    """The ids in `text`, each once."""
    ids = list(dict.fromkeys(text.split(",", MOST_IDS)))
    if len(text.split(",", MOST_IDS)) > MOST_IDS:
        raise Problem(400, f"ids: must be {MOST_IDS} at the most.")
    if not all(map(is_id, ids)):
        raise Problem(400, f"ids: must be ids with commas between them; each {ID_RULE}.")
    return ids


def _links(path: str, page: Page, limit: int, fields: tuple[str, ...], **parameters: str) -> str:
    """The ``Link`` header of a page (RFC 8288): where the next one is, and the one before."""
    if not page.players:
        return ""
    rest: dict[str, str | int] = {"limit": limit, **parameters}
    if fields:
        rest["fields"] = ",".join(fields)
    links = []
    for relation, name, player in (
        *(("next", "after", page.players[-1]) for _ in range(page.has_next)),
        *(("prev", "before", page.players[0]) for _ in range(page.has_previous)),
    ):
        query = urllib.parse.urlencode({name: cursor_of(player), **rest})
        links.append(f'<{path}?{query}>; rel="{relation}"')
    return ", ".join(links)
