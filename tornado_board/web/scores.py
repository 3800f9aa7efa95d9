"""Scores that are handed in: one, an addition, or many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

from tornado_board.auth.policy import Action, Actions
from tornado_board.inputs import Addition, Score, Submission
from tornado_board.models import Number
from tornado_board.realtime.ranks import Standing
from tornado_board.seasons import partition_of
from tornado_board.store import StoreError, Submitted
from tornado_board.web import answers, bulk
from tornado_board.web.boards import path_of
from tornado_board.web.bodies import JSON, content_type
from tornado_board.web.bulk import NDJSON
from tornado_board.web.described import Body, Flag, Operation, Submissions, Told, json_of
from tornado_board.web.exchange import Answer, Asked, Resource, json_answer
from tornado_board.web.handler import Handler
from tornado_board.web.problems import Problem, problem_of
from tornado_board.web.shapes import Added, Result
from tornado_board.web.shapes import Submitted as ShownSubmitted
from tornado_board.web.writes import standing, wrote, wrote_many

#: The type of an answer, by that of the request.
_TYPES = {JSON: "application/json; charset=utf-8", NDJSON: "application/x-ndjson; charset=utf-8"}


_CREATE = Flag(name="create", text="1 makes the player, with 0, if there is none.")
_SCORE, _ADDITION = Body(Score), Body(Addition, empty=True, form=True)


async def score(asked: Asked, board_id: str, player_id: str) -> Answer:
    """Hand in a score; make the player if there is none."""
    submission = _SCORE.of(asked).submission(player_id)
    services = asked.services
    since = services.ranks.position
    services.lag.begin(board_id, player_id)
    (result,) = await services.store.submit(
        board_id, [submission], asked.once, audited=asked.audited
    )
    if not isinstance(result, Submitted):
        raise result
    scores = [result.player.score]
    if result.previous is not None:
        scores.append(result.previous)
    wrote(asked, board_id, result, since)
    services.metrics.scored("submit")
    shown = answers.submitted(result, await standing(asked, board_id, result.player, *scores))
    return _answer(asked, board_id, result, shown)


class ScoreHandler(Handler):
    actions = Actions(post=Action.SUBMIT)
    resources: ClassVar = {"POST": Resource(score)}
    operations: ClassVar = {
        "POST": Operation(
            body=_SCORE,
            answers={
                200: Told("What it did.", json_of(ShownSubmitted)),
                201: Told("The same; the player was made.", json_of(ShownSubmitted), ("Location",)),
            },
        )
    }

    async def post(self, board_id: str, player_id: str) -> None:
        """Hand in a score; make the player if there is none."""
        await self.serve("POST", board_id, player_id)


class ScoresHandler(Handler):
    actions = Actions(post=Action.SUBMIT)
    operations: ClassVar = {
        "POST": Operation(
            body=Submissions(Submission, NDJSON),
            answers={
                200: Told(
                    "What each did, in their order; of NDJSON, a line each.",
                    {JSON: list[Result], NDJSON: None},
                )
            },
        )
    }

    async def post(self, board_id: str) -> None:
        """Hand in many scores; each stands for itself."""
        body = self.request.body
        # An empty one needs no type, and is refused as what it is.
        kind = content_type(self.request.headers, (JSON, NDJSON)) if body else JSON
        found = await bulk.submissions(body, kind)
        self.charge_more(len(found) - 1)
        handed_in = [item for item in found if isinstance(item, Submission)]
        outcomes: Sequence[Submitted | StoreError] = ()
        since = self.ranks.position
        if handed_in:
            outcomes = await self.store.submit(board_id, handed_in, self.once, audited=self.audited)
        else:
            await self.store.get_board(board_id)
        async for some in bulk.in_slices(outcomes):
            wrote_many(self, board_id, some, since)
        self.services.metrics.scored("bulk", sum(isinstance(o, Submitted) for o in outcomes))
        # Who only hands in scores shall not pay for the board's ranks.
        known: Callable[..., Standing | None] = _not_known
        seasons = {done.player.season for done in outcomes if isinstance(done, Submitted)}
        # Of those that were replayed nobody can tell which are old, so that the ranks may lack the
        # rest. And a season may have ended in the middle.
        if not (self.once is not None and self.once.replayed) and len(seasons) == 1:
            partition = partition_of(board_id, *seasons)
            known = partial(self.ranks.known, partition, wanted=False)
        told: Sequence[Submitted | StoreError | Problem] = outcomes
        if len(outcomes) < len(found):
            stored = iter(outcomes)
            told = [item if isinstance(item, Problem) else next(stored) for item in found]
        results = []
        async for items in bulk.in_slices(told):
            results += bulk.results(list(map(_shown, items)), known)
        text = await bulk.answer(results, kind)
        # What may go through later is to be tried again when the request comes again.
        final = not any(result.status == 503 for result in results)
        self.send(Answer(200, text, _TYPES[kind]), final=final)


def _not_known(*_: Number) -> None:
    return None


def _shown(outcome: Submitted | StoreError | Problem) -> Submitted | Problem:
    return problem_of(outcome, 500) if isinstance(outcome, StoreError) else outcome


async def score_add(asked: Asked, board_id: str, player_id: str) -> Answer:
    """Add to the player's score; with ``create``, make the player if there is none."""
    create, amount = _CREATE.of(asked), _ADDITION.of(asked).amount
    services = asked.services
    since = services.ranks.position
    services.lag.begin(board_id, player_id)
    result = await services.store.add_score(
        board_id, player_id, amount, create=create, once=asked.once, audited=asked.audited
    )
    wrote(asked, board_id, result, since)
    services.metrics.scored("add")
    shown = answers.added(
        result, await standing(asked, board_id, result.player, result.player.score)
    )
    return _answer(asked, board_id, result, shown)


class ScoreAddHandler(Handler):
    actions = Actions(post=Action.SUBMIT)
    resources: ClassVar = {"POST": Resource(score_add)}
    operations: ClassVar = {
        "POST": Operation(
            parameters=(_CREATE,),
            body=_ADDITION,
            answers={
                200: Told("What it did.", json_of(Added)),
                201: Told("The same; the player was made.", json_of(Added), ("Location",)),
            },
        )
    }

    async def post(self, board_id: str, player_id: str) -> None:
        """Add to the player's score; with ``create``, make the player if there is none."""
        await self.serve("POST", board_id, player_id)


def _answer(asked: Asked, board_id: str, result: Submitted, shown: object) -> Answer:
    """What was `shown`; 201, and where the player is, if it was made."""
    if result.previous is not None:
        return json_answer(shown)
    location = asked.services.settings.path_prefix + path_of(board_id, result.player.id)
    return json_answer(shown, 201, (("Location", location),))
