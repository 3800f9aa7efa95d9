"""``/boards/{board}/players/`` and what lies below."""

from __future__ import annotations

from typing import ClassVar

from msgspec.structs import asdict

from tornado_board.models import Addition, NewPlayer, PlayerPatch
from tornado_board.web.boards import path_of
from tornado_board.web.exchange import Answer, Asked, Resource, json_answer
from tornado_board.web.handler import Handler


class PlayersHandler(Handler):
    async def post(self, board_id: str) -> None:
        """Make a player."""
        player = await self.store.create_player(board_id, self.body(NewPlayer))
        self.set_header("Location", self.prefix + path_of(board_id, player.id))
        self.send_json(asdict(player), status=201)


async def player(asked: Asked, board_id: str, player_id: str) -> Answer:
    """The player with its rank."""
    found = await asked.services.store.get_player(board_id, player_id)
    return json_answer(asdict(found), fields=(("Cache-Control", "no-cache"),))


class PlayerHandler(Handler):
    resources: ClassVar = {"GET": Resource(player)}

    async def get(self, board_id: str, player_id: str) -> None:
        """The player with its rank."""
        await self.serve("GET", board_id, player_id)

    async def patch(self, board_id: str, player_id: str) -> None:
        """Change the player's name, score or both."""
        patch = self.body(PlayerPatch)
        self.send_json(asdict(await self.store.update_player(board_id, player_id, patch)))

    async def delete(self, board_id: str, player_id: str) -> None:
        """Delete the player."""
        await self.store.delete_player(board_id, player_id)
        self.no_content()


async def score_add(asked: Asked, board_id: str, player_id: str) -> Answer:
    """Add to the player's score."""
    addition = asked.body(Addition, empty=True, form=True)
    changed = await asked.services.store.add_score(board_id, player_id, addition.amount)
    return json_answer(asdict(changed))


class ScoreAddHandler(Handler):
    resources: ClassVar = {"POST": Resource(score_add)}

    async def post(self, board_id: str, player_id: str) -> None:
        """Add to the player's score."""
        await self.serve("POST", board_id, player_id)
