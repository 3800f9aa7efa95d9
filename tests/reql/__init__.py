"""A small ReQL server for tests: the V1_0 handshake and the JSON protocol over TCP.

It knows the terms that `tornado_board.store.rethinkdb` and its tests send, keeps its tables in
memory, and can be told to misbehave. What it answers follows RethinkDB 2.4; the tests that run on
it run on a real server too, where there is one.
"""

from tests.reql.server import ReQLServer

__all__ = ["ReQLServer"]
