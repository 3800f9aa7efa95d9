"""Boards as this server holds them, or else as the upstream has them."""

from __future__ import annotations

from tornado_board.realtime.hub import Hub
from tornado_board.realtime.topic import Topic
from tornado_board.replay import EventId
from tornado_board.upstream.asking import check_answer
from tornado_board.upstream.upstreams import Upstreams
from tornado_board.web.board_reads import BoardRead, BoardReads
from tornado_board.web.edge.kept_answers import KeptAnswers
from tornado_board.web.edge.services import no_store

#: Seconds after a write through this server within which the board's event may not show it yet.
SETTLES = 5.0


class EdgeReads(BoardReads):
    """Reads boards, from their newest event where that shows whatever this server has answered
    a write."""

    def __init__(self, upstreams: Upstreams, hub: Hub, kept: KeptAnswers) -> None:
        super().__init__(no_store(), hub)
        self._upstreams = upstreams
        self._answers = kept

    def wrote(self, board_id: str) -> None:
        super().wrote(board_id)
        self._answers.wrote(board_id)

    def known(self, board_id: str) -> BoardRead | None:
        topic = self._hub.live(board_id)
        if topic is not None and self._shows_all(topic):
            return BoardRead(topic.current.data, topic.current.id)
        return super().known(board_id)

    def _shows_all(self, topic: Topic) -> bool:
        """Whether the topic's event is as good as an answer of the upstream: what it said last."""
        written = self._answers.last_write(topic.board_id)
        return not topic.ended and self._clock() - written > SETTLES

    async def _ask(self, board_id: str, position: EventId | None) -> BoardRead:
        reply = await self._upstreams.ask(
            "GET",
            f"/boards/{board_id}/",
            [("Accept", "application/json"), ("Cache-Control", "no-cache")],
        )
        try:
            body = await reply.whole(self._upstreams.timeout)
        finally:
            reply.close()
        check_answer(reply, body, board_id)
        return BoardRead(body.decode().rstrip("\n"), position)
