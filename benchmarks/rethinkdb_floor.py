"""What RethinkDB takes by itself for writes like those of `benchmarks.bulk`.

The bare update of the same documents, in queries of as many as the store sends, as many at a time,
each on the disk when it is answered: once as they are, with the index that has them in their order,
and once in a table without any index.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.rethinkdb_store import connected
from tornado_board.store.rethinkdb import page_queries
from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.documents import PLAYERS
from tornado_board.store.rethinkdb.queries import prepared
from tornado_board.store.rethinkdb.writes import GROUP_SIZE, GROUPS_IN_FLIGHT

#: The table without an index.
_BARE = "players_without_index"

#: Documents of a query that copies them, and turns that the tables take.
_COPIED_AT_ONCE = 2_000
_ROUNDS = 4


def _update(table: str) -> Any:
    def update(p: Any) -> Any:
        documents = r.table(table).get_all(r.args(p["keys"]))
        return documents.update(lambda document: {"score": document["score"].add(1)})

    return prepared(update)


_UPDATES = {PLAYERS: _update(PLAYERS), _BARE: _update(_BARE)}


async def _copied(query: Any, partition: str) -> list[str]:
    """The keys of the board's documents, which are in `_BARE` now."""
    if _BARE not in await query(r.table_list()):
        await query(r.table_create(_BARE))
    cursor = await query(page_queries.all_players(partition=partition)["id"].coerce_to("array"))
    keys: list[str] = list(cursor)
    for start in range(0, len(keys), _COPIED_AT_ONCE):
        some = r.table(PLAYERS).get_all(r.args(keys[start : start + _COPIED_AT_ONCE]))
        await query(r.table(_BARE).insert(some, conflict="replace"), durability="soft")
    await query(r.table(_BARE).sync())
    return keys


async def _rate(query: Any, table: str, keys: Sequence[str], seconds: float) -> float:
    """Documents written in a second."""
    began, done = time.perf_counter(), 0

    async def write() -> None:
        nonlocal done
        while time.perf_counter() - began < seconds:
            result = await query(_UPDATES[table](keys=random.sample(keys, GROUP_SIZE)))
            done += result["replaced"]

    await asyncio.gather(*[write() for _ in range(GROUPS_IN_FLIGHT)])
    return done / (time.perf_counter() - began)


async def measure(url: str, partition: str, seconds: float) -> tuple[float, float]:
    """Documents that RethinkDB writes in a second by itself, of the partition that the database
    at `url` has: with the index, and without one."""
    async with connected(url) as query:
        keys = await _copied(query, partition)
        found: dict[str, float] = dict.fromkeys(_UPDATES, 0)
        for _ in range(_ROUNDS):
            for table in found:
                found[table] += await _rate(query, table, keys, seconds / _ROUNDS) / _ROUNDS
        await query(r.table_drop(_BARE))
    return found[PLAYERS], found[_BARE]


def table(url: str, partition: str, seconds: float, per_second: float) -> str:
    """The same as Markdown, beside `per_second`: what the server stores and answers."""
    indexed, bare = asyncio.run(measure(url, partition, seconds))
    return (
        "| RethinkDB by itself | documents/s | times the server's submissions |\n"
        "| --- | ---: | ---: |\n"
        f"| with the index | {indexed:,.0f} | {indexed / per_second:.2f} |\n"
        f"| without an index | {bare:,.0f} | {bare / per_second:.2f} |\n"
    )
