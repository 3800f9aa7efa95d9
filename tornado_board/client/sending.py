"""What becomes of a request until it succeeds, for both clients. No I/O, no clock but theirs."""

from __future__ import annotations

import httpx

from tornado_board.client import calls
from tornado_board.client.errors import NoAnswer, Refused
from tornado_board.client.retries import Policy, Retries


class Sending:
    """One request that began at `now`, by any clock in seconds, and is sent until it succeeds.

    `renews` says whether its token can be got anew, which is done once where the server refuses it:
    `renew` is true from then on.
    """

    def __init__(self, policy: Policy, now: float, *, renews: bool) -> None:
        self._retries = Retries(policy, now)
        self._renews = renews
        self.renew = False

    def unanswered(self, error: httpx.HTTPError, now: float) -> float:
        """Seconds until it is sent again, since it had no answer. Raises `NoAnswer` where it is
        not to be sent again."""
        pause = self._retries.pause(now, None)
        if pause is None:
            raise NoAnswer(f"there was no answer: {error}") from error
        return pause

    def refused(self, response: httpx.Response, now: float) -> float:
        """Seconds until it is sent again, since `response` is no success. Raises `Refused` where
        it is not to be sent again."""
        answer = refusal(response)
        if answer.status == 401 and self._renews and not self.renew:
            self.renew = True
            return 0
        pause = self._retries.pause(now, answer.status, answer.retry_after)
        if pause is None:
            raise answer
        return pause


def refusal(response: httpx.Response) -> Refused:
    """What an answer that is no success says; its body has been read."""
    return calls.refusal(response.status_code, response.headers, response.content)
