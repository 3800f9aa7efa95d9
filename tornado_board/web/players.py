"""``/boards/{board}/players/`` and what lies below."""

from __future__ import annotations

from msgspec.structs import asdict

from tornado_board.inputs import Addition, NewPlayer, PlayerPatch
from tornado_board.web.boards import path_of
from tornado_board.web.handler import Handler


class PlayersHandler(Handler):
    async def post(self, board_id: str) -> None:
        """Make a player."""
        player = await self.store.create_player(board_id, self.body(NewPlayer))
        self.set_header("Location", self.prefix + path_of(board_id, player.id))
        self.send_json(asdict(player), status=201)


class PlayerHandler(Handler):
    async def get(self, board_id: str, player_id: str) -> None:
        """The player with its rank."""
        player = await self.store.get_player(board_id, player_id)
        self.set_header("Cache-Control", "no-cache")
        self.send_json(asdict(player))

    async def patch(self, board_id: str, player_id: str) -> None:
        """Change the player's name, score or both."""
        patch = self.body(PlayerPatch)
        self.send_json(asdict(await self.store.update_player(board_id, player_id, patch)))

    async def delete(self, board_id: str, player_id: str) -> None:
        """Delete the player."""
        await self.store.delete_player(board_id, player_id)
        self.no_content()


class ScoreAddHandler(Handler):
    async def post(self, board_id: str, player_id: str) -> None:
        """Add to the player's score."""
        addition = self.body(Addition, empty=True, form=True)
        self.send_json(asdict(await self.store.add_score(board_id, player_id, addition.amount)))
