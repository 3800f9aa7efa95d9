"""The client that blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
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
GetToken = Callable[[bool], str]


class Client:
    """The boards of one server.

    `server` is its address, with the path that it is below. `token` is a token, or a function
    that gets one. `timeout` is how long one answer may take, in seconds, and `silence` how long a
    stream may bring nothing: more than twice the server's ``keepalive``. `http` is an httpx client
    of your own (proxies, certificates); it stays open. Threads may share a client.
    """

    def __init__(
        self,
        server: str,
        *,
        token: str | GetToken = "",
        policy: Policy | None = None,
        timeout: float = 10.0,
        silence: float = SILENCE,
        http: httpx.Client | None = None,
    ) -> None:
        self._server = server.rstrip("/") + "/"
        self._token = token
        self._policy = policy or Policy()
        self._timeout = timeout
        self._silence = silence
        self._own = httpx.Client() if http is None else None
        self._http = http or self._own or httpx.Client()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        if self._own is not None:
            self._own.close()

    def submit(
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
        return decoded(self._send(call).content, Submitted)

    def submit_many(
        self, board: str, submissions: Iterable[Submission], *, key: str | None = None
    ) -> list[Result]:
        """Submit many scores, in as few requests as it takes; what became of each, in order.

        Each stands for itself: look at `Result.ok`. Raises `Refused` and `NoAnswer`; then those
        before may have been carried out, and the same call with the same `key` counts them once.
        """
        found: list[Result] = []
        for call in calls.submit_many(board, submissions, key):
            found += calls.results(self._send(call).content)
        return found

    def board(self, board: str, *, season: int | None = None) -> Board:
        """The board with its best players, of a `season` that is over, or the present one."""
        return decoded(self._send(calls.read(board, None, season)).content, Board)

    def player(self, board: str, player: str, *, season: int | None = None) -> Player:
        """A player with its rank; `season` as of `board`."""
        return decoded(self._send(calls.read(board, player, season)).content, Player)

    def page(
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
        return self._page(call)

    def pages(self, board: str, *, limit: int | None = None, **which: Any) -> Iterator[Page]:
        """The pages from the one that `page` gives for these arguments to the last."""
        page = self.page(board, limit=limit, **which)
        while True:
            yield page
            if page.next is None:
                return
            page = self._page(Call("GET", page.next))

    def players(self, board: str, *, limit: int | None = None, **which: Any) -> Iterator[Player]:
        """The players of those pages, with their ranks; `limit` is how many a page has."""
        for page in self.pages(board, limit=limit, **which):
            yield from page.players

    def seasons(self, board: str, *, limit: int | None = None) -> Iterator[ListedSeason]:
        """The seasons of the board, the newest first, the present one too; `limit` is how many one
        request asks for."""
        call = calls.seasons(board, limit)
        while True:
            response = self._send(call)
            link = response.headers.get("link", "")
            found, following = calls.seasons_of(response.content, link, str(response.request.url))
            yield from found
            if following is None:
                return
            call = Call("GET", following)

    def watch(
        self, board: str, *, since: str = "", poll: bool = False, patience: float | None = None
    ) -> Iterator[Update | SeasonEnd | Reset]:
        """Every event of the board: the first is the board as it is, or what follows on `since`.

        It comes back by itself, and goes on after the last event; where the server can't prove to
        have all, a `Reset` says so. `poll` is for where a proxy holds streams back. Raises
        `Refused` where the server says no (404: there is no such board, or no longer), and
        `NoAnswer` once it has been away for `patience` seconds, never by default.
        """
        return self._watch(BoardWatching(board, since=since, poll=poll, patience=patience))

    def watch_player(
        self, board: str, player: str, *, poll: bool = False, patience: float | None = None
    ) -> Iterator[Place]:
        """Where a player stands: now, and whenever that has changed. Ends when the player, or the
        board, is deleted. Raises as `watch`."""
        return self._watch(PlaceWatching(board, player, poll=poll, patience=patience))

    def _watch(self, watching: Watching[T]) -> Iterator[T]:
        try:
            while True:
                error: Refused | None = None
                try:
                    if watching.polls:
                        yield from watching.polled(self._poll(watching))
                        time.sleep(watching.answered())
                        continue
                    with self._open(watching) as response:
                        if response.status_code != 200:
                            response.read()
                            error = refusal(response)
                        else:
                            watching.opened()
                            for text in response.iter_text():
                                yield from watching.feed(text)
                except Refused as refused:
                    error = refused
                except (httpx.TransportError, httpx.DecodingError):
                    pass
                time.sleep(watching.ended(time.monotonic(), error))
        except Gone:
            return

    def _open(self, watching: Watching[T]) -> Any:
        call = watching.call()
        token, watching.renew = self._secret(watching.renew), False
        timeout = httpx.Timeout(self._timeout, read=self._silence)
        address = call.address(self._server)
        return self._http.stream(call.method, address, headers=call.fields(token), timeout=timeout)

    def _poll(self, watching: Watching[T]) -> bytes:
        call = watching.call()
        token, watching.renew = self._secret(watching.renew), False
        response = self._once(call, token, WAIT + self._timeout)
        if not response.is_success:
            raise refusal(response)
        return response.content

    def _page(self, call: Call) -> Page:
        response = self._send(call)
        return calls.page_of(
            response.content, response.headers.get("Link", ""), str(response.request.url)
        )

    def _send(self, call: Call) -> httpx.Response:
        """The answer, a success. Raises `Refused` and `NoAnswer`."""
        sending = Sending(self._policy, time.monotonic(), renews=callable(self._token))
        while True:
            try:
                token = self._secret(sending.renew)
                response = self._once(call, token, self._timeout)
                if response.is_success:
                    return response
                pause = sending.refused(response, time.monotonic())
            except (httpx.TransportError, httpx.DecodingError) as error:
                pause = sending.unanswered(error, time.monotonic())
            time.sleep(pause)

    def _once(self, call: Call, token: str, seconds: float) -> httpx.Response:
        return self._http.request(
            call.method,
            call.address(self._server),
            params=call.query or None,
            content=call.body,
            headers=call.fields(token),
            timeout=seconds,
        )

    def _secret(self, renew: bool) -> str:
        return self._token(renew) if callable(self._token) else self._token
