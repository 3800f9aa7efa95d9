"""The servers of a cluster: any of them answers all queries."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tornado_board.store.rethinkdb.address import Address

#: The most servers that a URL names.
MOST = 32


@dataclass(frozen=True)
class Servers:
    """The servers that a URL names, of one cluster, with one database."""

    addresses: tuple[Address, ...]

    @classmethod
    def parse(cls, url: str, ca_certs: str = "") -> Servers:
        """Read `url`, ``rethinkdb://[user:password@]host[:port][,host[:port]...]/database``.

        As `Address.parse`, which reads it for each host. Raises `ValueError`.
        """
        scheme, slashes, rest = url.partition("://")
        end = re.search("[/?#]", rest)
        place = rest if end is None else rest[: end.start()]
        account, at, hosts = place.rpartition("@")
        names = hosts.split(",", MOST)
        if len(names) > MOST or (len(names) > 1 and "" in names):
            raise ValueError(
                f"database_url: between the commas have to be hosts, {MOST} at the most"
            )
        tail = rest[len(place) :]
        parsed = (
            Address.parse(f"{scheme}{slashes}{account}{at}{name}{tail}", ca_certs) for name in names
        )
        return cls(tuple(dict.fromkeys(parsed)))

    def __str__(self) -> str:
        places = (str(address).removesuffix(f"/{self.database}") for address in self.addresses)
        return f"{','.join(places)}/{self.database}"

    @property
    def database(self) -> str:
        """The name of the database."""
        return self.addresses[0].database

    def beginning_with(self, address: Address) -> Sequence[Address]:
        """All of them, in turn from this one on."""
        place = self.addresses.index(address)
        return self.addresses[place:] + self.addresses[:place]

    def after(self, address: Address) -> Address:
        """The one whose turn is after this one's."""
        return self.beginning_with(address)[1 % len(self.addresses)]
