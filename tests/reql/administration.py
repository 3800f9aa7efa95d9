"""The terms about databases, tables and indexes, and what they say of the cluster."""

from __future__ import annotations

import uuid
from typing import Any

from tests.reql.tables import Row, Table
from tests.reql.values import ErrorType, ReQLError, failed, missing

Environment = dict[int, Any]


class Administration:
    """Holds `databases`, which its terms change."""

    def __init__(self, databases: dict[str, dict[str, Table]]) -> None:
        self.databases = databases
        #: The ids of databases, by name; given when they are first asked for.
        self.database_ids: dict[str, str] = {}
        #: Whether nobody may know them.
        self.secret_ids = False
        #: The server that is the primary replica of each table.
        self.primary = "one"
        #: Whether it has lost the others, so that no table can be used.
        self.without_quorum = False
        self._database = ""

    def value(self, term: Any, env: Environment) -> Any:
        """The value of `term`."""
        raise NotImplementedError

    def data(self, term: Any, env: Environment) -> Any:
        """The value of `term` with streams read."""
        raise NotImplementedError

    def call(self, function: Any, env: Environment, *values: Any) -> Any:
        """Call a function's term."""
        raise NotImplementedError

    def _name(self, term: Any) -> str:
        """The name of the database that a ``db`` term is about."""
        (name,) = term[1]
        return str(name)

    def _tables(self, args: list[Any]) -> dict[str, Table]:
        """The tables of the database that `args` begin with, or else of the connection's."""
        is_named = args and isinstance(args[0], list)
        database = self._name(args.pop(0)) if is_named else self._database
        if database not in self.databases:
            raise failed(f"Database `{database}` does not exist.")
        return self.databases[database]

    def _db_list(self, env: Environment, args: list[Any], options: Row) -> Any:
        return list(self.databases)

    def _db_create(self, env: Environment, args: list[Any], options: Row) -> Any:
        if args[0] in self.databases:
            raise failed(f"Database `{args[0]}` already exists.")
        self.databases[args[0]] = {}
        self.database_ids.pop(args[0], None)
        return {"dbs_created": 1}

    def _db_drop(self, env: Environment, args: list[Any], options: Row) -> Any:
        if self.databases.pop(args[0], None) is None:
            raise failed(f"Database `{args[0]}` does not exist.")
        return {"dbs_dropped": 1}

    def _table_list(self, env: Environment, args: list[Any], options: Row) -> Any:
        return list(self._tables(args))

    def _table_create(self, env: Environment, args: list[Any], options: Row) -> Any:
        tables = self._tables(args)
        if args[0] in tables:
            raise failed(f"Table `{self._database}.{args[0]}` already exists.")
        tables[args[0]] = Table(args[0])
        return {"tables_created": 1}

    def _table_drop(self, env: Environment, args: list[Any], options: Row) -> Any:
        tables = self._tables(args)
        if args[0] not in tables:
            raise failed(f"Table `{self._database}.{args[0]}` does not exist.")
        for feed in tables.pop(args[0]).feeds:
            feed.abort()
        return {"tables_dropped": 1}

    def _db(self, env: Environment, args: list[Any], options: Row) -> str:
        name = str(self.data(args[0], env))
        if name not in self.databases:
            raise failed(f"Database `{name}` does not exist.")
        return name

    def _info(self, env: Environment, args: list[Any], options: Row) -> Any:
        name = self.value(args[0], env)
        if self.secret_ids:
            raise ReQLError("User `admin` has no such right.", ErrorType.PERMISSION_ERROR)
        return {"id": self._database_id(name), "name": name, "type": "DB"}

    def _database_id(self, name: str) -> str:
        return self.database_ids.setdefault(name, str(uuid.uuid4()))

    def _status(self, env: Environment, args: list[Any], options: Row) -> Any:
        table = self.value(args[0], env)
        shard = {"primary_replicas": [self.primary], "replicas": []}
        return {"id": table.uuid, "name": table.name, "shards": [shard]}

    def _table(self, env: Environment, args: list[Any], options: Row) -> Table:
        tables = self._tables(args)
        if args[0] not in tables:
            raise failed(f"Table `{self._database}.{args[0]}` does not exist.")
        if self.without_quorum:
            raise failed(
                "Cannot perform read: The primary replica isn't connected to a quorum of replicas."
            )
        return tables[args[0]]

    def _index_list(self, env: Environment, args: list[Any], options: Row) -> Any:
        return list(self.value(args[0], env).indexes)

    def _index_create(self, env: Environment, args: list[Any], options: Row) -> Any:
        table, name = self.value(args[0], env), args[1]
        if name in table.indexes:
            raise failed(f"Index `{name}` already exists on table `{table.name}`.")
        function = args[2] if len(args) > 2 else None

        def key_of(row: Row) -> Any:
            if function is not None:
                return self.call(function, {}, row)
            if row.get(name) is None:
                raise missing(f"No attribute `{name}` in object.")
            return row[name]

        table.indexes[name] = key_of
        return {"created": 1}

    def _index_drop(self, env: Environment, args: list[Any], options: Row) -> Any:
        table = self.value(args[0], env)
        if table.indexes.pop(args[1], None) is None:
            raise failed(f"Index `{args[1]}` was not found on table `{table.name}`.")
        table.forget(args[1])
        return {"dropped": 1}

    def _index_status(self, env: Environment, args: list[Any], options: Row) -> Any:
        table = self.value(args[0], env)
        if args[1] not in table.indexes:
            raise failed(f"Index `{args[1]}` was not found on table `{table.name}`.")
        return [{"index": args[1], "ready": True}]
