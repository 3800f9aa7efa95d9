"""What goes wrong."""

from __future__ import annotations


class ClientError(Exception):
    """Any of these."""


class NoAnswer(ClientError):
    """The server could not be reached, or did not answer in time, as often as it was tried.

    What was submitted may have been applied or not; the same call with the same `key` finds out.
    """


class Refused(ClientError):
    """The server answered, and not with a success. The message is its `detail`."""

    def __init__(self, status: int, detail: str, retry_after: float = 0) -> None:
        super().__init__(f"{status}: {detail}")
        #: The HTTP status.
        self.status = status
        self.detail = detail
        #: After how many seconds the server would be asked again; 0 if it named no time.
        self.retry_after = retry_after
