"""``/openapi.json``: the API, for programs."""

from __future__ import annotations

from typing import ClassVar, cast

from tornado_board.auth.policy import Action, Actions
from tornado_board.web.bodies import JSON
from tornado_board.web.described import Operation, Told
from tornado_board.web.exchange import Answer
from tornado_board.web.handler import Handler


class DescriptionHandler(Handler):
    actions = Actions(get=Action.OPEN)
    operations: ClassVar = {
        "GET": Operation(answers={200: Told("The description.", {JSON: dict}, ("ETag",))})
    }

    async def get(self) -> None:
        """This description of the API (OpenAPI 3.1)."""
        self.set_header("Cache-Control", "no-cache")
        self.send(Answer(200, cast(bytes, self.settings["board_description"]())))
