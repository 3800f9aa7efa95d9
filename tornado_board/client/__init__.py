"""The client for Python programs: submits scores, reads boards, and watches them.

`Client` blocks, `AsyncClient` is for asyncio; both have the same methods. They need httpx, which
the extra ``tornado_board[client]`` installs. Nothing of the server is imported.
"""

from tornado_board.client.answers import (
    Board,
    ListedSeason,
    Page,
    Place,
    Player,
    Previous,
    Reset,
    Result,
    Season,
    SeasonEnd,
    Submission,
    Submitted,
    Then,
    Update,
)
from tornado_board.client.errors import ClientError, NoAnswer, Refused
from tornado_board.client.retries import Policy

try:
    from tornado_board.client.asynchronous import AsyncClient
    from tornado_board.client.blocking import Client
except ModuleNotFoundError as error:
    if error.name != "httpx":
        raise
    raise ModuleNotFoundError(
        "tornado_board.client needs httpx: python -m pip install 'tornado_board[client]'",
        name="httpx",
    ) from error

__all__ = [
    "AsyncClient",
    "Board",
    "Client",
    "ClientError",
    "ListedSeason",
    "NoAnswer",
    "Page",
    "Place",
    "Player",
    "Policy",
    "Previous",
    "Refused",
    "Reset",
    "Result",
    "Season",
    "SeasonEnd",
    "Submission",
    "Submitted",
    "Then",
    "Update",
]
