"""A game's backend in FastAPI: takes the results of matches, and submits them to a board.

    uvicorn match_backend:app

Who may report a match has the secret of the referees; who may submit to the board is this program
alone, with a token that `tornado-board token --scope=submit --board=league` makes.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Path, Request
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field

from tornado_board.client import AsyncClient, NoAnswer, Policy, Refused, Submission

BOARD = "league"
REFEREE = os.environ["REFEREE_SECRET"]

#: Somebody waits for our answer: try for seconds, not for minutes.
POLICY = Policy(retries=4, first=0.2, longest=1, within=5)

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9._~-]{1,64}$")]


class Points(BaseModel):
    """What a player has won in a match."""

    player: Id
    points: int = Field(ge=0, le=100)


class Match(BaseModel):
    results: list[Points] = Field(min_length=1, max_length=64)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    url, token = os.environ["BOARDS_URL"], os.environ["BOARDS_TOKEN"]
    async with AsyncClient(url, token=token, policy=POLICY) as boards:
        app.state.boards = boards
        yield


app = FastAPI(title="Matches", lifespan=lifespan)


def client(request: Request) -> AsyncClient:
    boards: AsyncClient = request.app.state.boards
    return boards


def referee(sent: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> None:
    if not secrets.compare_digest(sent.credentials.encode(), REFEREE.encode()):
        raise HTTPException(403, "That is not the referees' secret.")


Boards = Annotated[AsyncClient, Depends(client)]


@app.put("/matches/{match}", dependencies=[Depends(referee)])
async def report(match: Annotated[Id, Path()], body: Match, boards: Boards) -> list[dict[str, Any]]:
    """Count a match, once: who reports it again, since no answer came, changes nothing."""
    submissions = [Submission(each.player, each.points, "add") for each in body.results]
    results = await boards.submit_many(BOARD, submissions, key=f"match-{match}")
    return [
        {"player": each.player, "score": result.score, "rank": result.rank, "error": result.detail}
        for each, result in zip(body.results, results, strict=True)
    ]


@app.get("/players/{player}")
async def place(player: Annotated[Id, Path()], boards: Boards) -> list[dict[str, Any]]:
    """A player among the five around."""
    page = await boards.page(BOARD, around=player, limit=5)
    return [{"rank": p.rank, "name": p.name, "score": p.score} for p in page.players]


@app.exception_handler(Refused)
async def refused(_: Request, error: Refused) -> JSONResponse:
    """There is no such player; or else it is our own token, board or request that is wrong."""
    status = 404 if error.status == 404 else 502
    return JSONResponse({"detail": error.detail}, status)


@app.exception_handler(NoAnswer)
async def no_answer(_: Request, error: NoAnswer) -> JSONResponse:
    """It may have been counted: the same request again finds out."""
    return JSONResponse({"detail": str(error)}, 503, {"Retry-After": "5"})
