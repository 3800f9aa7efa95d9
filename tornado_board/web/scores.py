"""Scores that are handed in: one, an addition, or many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from tornado_board.inputs import Addition, Score, Submission
from tornado_board.models import Number
from tornado_board.realtime.ranks import Standing
from tornado_board.store import StoreError, Submitted
from tornado_board.web import answers, bulk
from tornado_board.web.boards import path_of
from tornado_board.web.bodies import JSON, content_type
from tornado_board.web.bulk import NDJSON
from tornado_board.web.handler import Handler
from tornado_board.web.problems import Problem, problem_of

#: The type of an answer, by that of the request.
_TYPES = {JSON: "application/json; charset=utf-8", NDJSON: "application/x-ndjson; charset=utf-8"}


class ScoreHandler(Handler):
    async def post(self, board_id: str, player_id: str) -> None:
        """Hand in a score; make the player if there is none."""
        submission = self.body(Score).submission(player_id)
        since = self.ranks.position
        (result,) = await self.store.submit(board_id, [submission], self.once)
        if not isinstance(result, Submitted):
            raise result
        scores = [result.player.score]
        if result.previous is not None:
            scores.append(result.previous)
        self.wrote(board_id, player_id, result.previous, result.player.score, since)
        standing = await self.standing(board_id, *scores)
        self.send_json(answers.submitted(result, standing), _status(self, board_id, result))


class ScoresHandler(Handler):
    async def post(self, board_id: str) -> None:
        """Hand in many scores; each stands for itself."""
        body = self.request.body
        # An empty one needs no type, and is refused as what it is.
        kind = content_type(self.request.headers, (JSON, NDJSON)) if body else JSON
        found = await bulk.submissions(body, kind)
        handed_in = [item for item in found if isinstance(item, Submission)]
        outcomes: Sequence[Submitted | StoreError] = ()
        since = self.ranks.position
        if handed_in:
            outcomes = await self.store.submit(board_id, handed_in, self.once)
        else:
            await self.store.get_board(board_id)
        async for some in bulk.in_slices(outcomes):
            for done in some:
                if isinstance(done, Submitted):
                    self.wrote(board_id, done.player.id, done.previous, done.player.score, since)
        known: Callable[..., Standing | None] = partial(self.ranks.known, board_id)
        if self.once is not None and self.once.replayed:
            known = _not_known  # nobody can tell which are old, so that the ranks may lack the rest
        results = []
        stored = iter(outcomes)
        async for items in bulk.in_slices(found):
            shown = [item if isinstance(item, Problem) else _shown(next(stored)) for item in items]
            results += bulk.results(shown, known)
        told = await bulk.answer(results, kind)
        self.set_header("Content-Type", _TYPES[kind])
        # What may go through later is to be tried again when the request comes again.
        final = not any(result.status == 503 for result in results)
        self.send(told, final=final)


def _not_known(*_: Number) -> None:
    return None


def _shown(outcome: Submitted | StoreError) -> Submitted | Problem:
    return outcome if isinstance(outcome, Submitted) else problem_of(outcome, 500)


class ScoreAddHandler(Handler):
    async def post(self, board_id: str, player_id: str) -> None:
        """Add to the player's score; with ``create``, make the player if there is none."""
        create = self.flag_argument("create")
        amount = self.body(Addition, empty=True, form=True).amount
        since = self.ranks.position
        result = await self.store.add_score(
            board_id, player_id, amount, create=create, once=self.once
        )
        self.wrote(board_id, player_id, result.previous, result.player.score, since)
        standing = await self.standing(board_id, result.player.score)
        self.send_json(answers.added(result, standing), _status(self, board_id, result))


def _status(handler: Handler, board_id: str, result: Submitted) -> int:
    """201, and where the player is, if it was made."""
    if result.previous is not None:
        return 200
    handler.created(path_of(board_id, result.player.id))
    return 201
