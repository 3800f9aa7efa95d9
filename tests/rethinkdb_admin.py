"""What tests of the RethinkDB store share: somebody who writes to the database beside it."""

from __future__ import annotations

from typing import Any

from tornado_board.settings import Settings
from tornado_board.store.rethinkdb import RethinkDBStore
from tornado_board.store.rethinkdb.address import Address
from tornado_board.store.rethinkdb.connection import run

from .conftest import Opened


class Admin:
    """Runs queries from outside, as the admin console or a script does."""

    def __init__(self, url: str) -> None:
        self._address = Address.parse(url)

    async def run(self, *terms: Any) -> Any:
        """Run `terms`, and return what the last one gives."""
        driver = await self._address.connect(10)
        try:
            for term in terms:
                result = await run(driver, term, 30)
        finally:
            await driver.close(noreply_wait=False)
        return result


async def opened_store(opened: Opened, url: str, settings: Settings) -> RethinkDBStore:
    store = await opened.store(url, settings)
    assert isinstance(store, RethinkDBStore)
    return store
