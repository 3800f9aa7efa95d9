"""The client for asyncio."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from tornado_board.client import calls
from tornado_board.client.answers import (
    Board,
    ListedSeason,
    Operator,
    Page,
    Place,
    Player,
    Reset,
    Result,
    Score,
    SeasonEnd,
    Submission,
    Submitted,
    Update,
)
from tornado_board.client.calls import Call, decoded
from tornado_board.client.errors import Refused
from tornado_board.client.retries import Policy
from tornado_board.client.sending import Sending, refusal
from tornado_board.client.watching import (
    SILENCE,
    WAIT,
    BoardWatching,
    Gone,
    PlaceWatching,
    Watching,
)

T = TypeVar("T")

#: Gets a token; it is told whether the last one was refused or has expired.
GetToken = Callable[[bool], str | Awaitable[str]]


class AsyncClient:
    """The boards of one server.

    `server` is its address, with the path that it is below. `token` is a token, or a function
    that gets one. `timeout` is how long one answer may take, in seconds, and `silence` how long a
    stream may bring nothing: more than twice the server's ``keepalive``. `http` is an httpx client
    of your own (proxies, certificates); it stays open. It belongs to one event loop.
    """

    def __init__(
        self,
        server: str,
        *,
        token: str | GetToken = "",
        policy: Policy | None = None,
        timeout: float = 10.0,
        silence: float = SILENCE,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._server = server.rstrip("/") + "/"
        self._token = token
        self._policy = policy or Policy()
        self._timeout = timeout
        self._silence = silence
        self._own = httpx.AsyncClient() if http is None else None
        self._http = http or self._own or httpx.AsyncClient()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        if self._own is not None:
            await self._own.aclose()

    async def submit(
        self,
        board: str,
        player: str,
        score: Score,
        *,
        operator: Operator | None = None,
        name: str | None = None,
        meta: Mapping[str, Any] | None = None,
        season: int | None = None,
        key: str | None = None,
    ) -> Submitted:
        """Submit a score, once and only once: it is sent again with the same ``Idempotency-Key``
        where there was no answer, or one that will pass.

        `key` is that key, a new one by default. `season` is the one that it is for: refused (409)
        once that is over. Raises `Refused` and `NoAnswer`.
        """
        call = calls.submit(
            board,
            player,
            score,
            operator=operator,
            name=name,
            meta=meta,
            season=season,
            key=key,
        )
        return decoded((await self._send(call)).content, Submitted)

    async def submit_many(
        self, board: str, submissions: Iterable[Submission], *, key: str | None = None
    ) -> list[Result]:
        """Submit many scores, in as few requests as it takes; what became of each, in order.

        Each stands for itself: look at `Result.ok`. Raises `Refused` and `NoAnswer`; then those
        before may have been carried out, and the same call with the same `key` counts them once.
        """
        found: list[Result] = []
        for call in calls.submit_many(board, submissions, key):
            found += calls.results((await self._send(call)).content)
        return found

    async def board(self, board: str, *, season: int | None = None) -> Board:
        """The board with its best players, of a `season` that is over, or the present one."""
        return decoded((await self._send(calls.read(board, None, season))).content, Board)

    async def player(self, board: str, player: str, *, season: int | None = None) -> Player:
        """A player with its rank; `season` as of `board`."""
        return decoded((await self._send(calls.read(board, player, season))).content, Player)

    async def page(
        self,
        board: str,
        *,
        limit: int | None = None,
        around: str | None = None,
        from_rank: int | None = None,
        ids: Iterable[str] | None = None,
        meta: bool = False,
        season: int | None = None,
        since: datetime | str | None = None,
    ) -> Page:
        """A page of the ranking: from the best, around a player, from a rank, or of these `ids`.

        `season` as of `board`. `since` has each player's rank of then told, too: of a time, or
        ``season``, where it ended in the season before (``season:6``: in season 6).
        """
        call = calls.page(
            board,
            limit=limit,
            around=around,
            from_rank=from_rank,
            ids=ids,
            meta=meta,
            season=season,
            since=since,
        )
        return await self._page(call)

    async def pages(
        self, board: str, *, limit: int | None = None, **which: Any
    ) -> AsyncIterator[Page]:
        """The pages from the one that `page` gives for these arguments to the last."""
        page = await self.page(board, limit=limit, **which)
        while True:
            yield page
            if page.next is None:
                return
            page = await self._page(Call("GET", page.next))

    async def players(
        self, board: str, *, limit: int | None = None, **which: Any
    ) -> AsyncIterator[Player]:
        """The players of those pages, with their ranks; `limit` is how many a page has."""
        async for page in self.pages(board, limit=limit, **which):
            for player in page.players:
                yield player

    async def seasons(self, board: str, *, limit: int | None = None) -> AsyncIterator[ListedSeason]:
        """The seasons of the board, the newest first, the present one too; `limit` is how many one
        request asks for."""
        call = calls.seasons(board, limit)
        while True:
            response = await self._send(call)
            link = response.headers.get("link", "")
            found, following = calls.seasons_of(response.content, link, str(response.request.url))
            for season in found:
                yield season
            if following is None:
                return
            call = Call("GET", following)

    def watch(
        self, board: str, *, since: str = "", poll: bool = False, patience: float | None = None
    ) -> AsyncIterator[Update | SeasonEnd | Reset]:
        """Every event of the board: the first is the board as it is, or what follows on `since`.

        It comes back by itself, and goes on after the last event; where the server can't prove to
        have all, a `Reset` says so. `poll` is for where a proxy holds streams back. Raises
        `Refused` where the server says no (404: there is no such board, or no longer), and
        `NoAnswer` once it has been away for `patience` seconds, never by default.
        """
        return self._watch(BoardWatching(board, since=since, poll=poll, patience=patience))

    def watch_player(
        self, board: str, player: str, *, poll: bool = False, patience: float | None = None
    ) -> AsyncIterator[Place]:
        """Where a player stands: now, and whenever that has changed. Ends when the player, or the
        board, is deleted. Raises as `watch`."""
        return self._watch(PlaceWatching(board, player, poll=poll, patience=patience))

    async def _watch(self, watching: Watching[T]) -> AsyncIterator[T]:
        try:
            while True:
                error: Refused | None = None
                try:
                    if watching.polls:
                        for told in watching.polled(await self._poll(watching)):
                            yield told
                        await asyncio.sleep(watching.answered())
                        continue
                    async with await self._open(watching) as response:
                        if response.status_code != 200:
                            await response.aread()
                            error = refusal(response)
                        else:
                            watching.opened()
                            async for text in response.aiter_text():
                                for told in watching.feed(text):
                                    yield told
                except Refused as refused:
                    error = refused
                except (httpx.TransportError, httpx.DecodingError):
                    pass
                await asyncio.sleep(watching.ended(time.monotonic(), error))
        except Gone:
            return

    async def _open(self, watching: Watching[T]) -> Any:
        call = watching.call()
        token, watching.renew = await self._secret(watching.renew), False
        timeout = httpx.Timeout(self._timeout, read=self._silence)
        address = call.address(self._server)
        return self._http.stream(call.method, address, headers=call.fields(token), timeout=timeout)

    async def _poll(self, watching: Watching[T]) -> bytes:
        call = watching.call()
        token, watching.renew = await self._secret(watching.renew), False
        response = await self._once(call, token, WAIT + self._timeout)
        if not response.is_success:
            raise refusal(response)
        return response.content

    async def _page(self, call: Call) -> Page:
        response = await self._send(call)
        return calls.page_of(
            response.content, response.headers.get("Link", ""), str(response.request.url)
        )

    async def _send(self, call: Call) -> httpx.Response:
        """The answer, a success. Raises `Refused` and `NoAnswer`."""
        sending = Sending(self._policy, time.monotonic(), renews=callable(self._token))
        while True:
            try:
                token = await self._secret(sending.renew)
                response = await self._once(call, token, self._timeout)
                if response.is_success:
                    return response
                pause = sending.refused(response, time.monotonic())
            except (httpx.TransportError, httpx.DecodingError) as error:
                pause = sending.unanswered(error, time.monotonic())
            await asyncio.sleep(pause)

    async def _once(self, call: Call, token: str, seconds: float) -> httpx.Response:
        return await self._http.request(
            call.method,
            call.address(self._server),
            params=call.query or None,
            content=call.body,
            headers=call.fields(token),
            timeout=seconds,
        )

    async def _secret(self, renew: bool) -> str:
        if not callable(self._token):
            return self._token
        found = self._token(renew)
        return await found if inspect.isawaitable(found) else found
