"""Where keys come from: a setting, a file, an address. Files and addresses are read again and
again, so that keys can be rotated while the server runs."""

from __future__ import annotations

import asyncio
import urllib.parse
from pathlib import Path
from typing import Protocol

import tornado.httpclient

from tornado_board.auth.keys import BadKey, Key, public_keys, secret_key, secret_keys
from tornado_board.settings import Settings, SettingsError

#: Bytes that a file or an answer may have.
MOST_BYTES = 256 * 1024

#: Seconds that an answer may take, connecting included.
FETCH_TIMEOUT = 5.0

#: Seconds between two looks at a file, and between two fetches.
FILE_INTERVAL = 10.0
FETCH_INTERVAL = 300.0

#: Names of loopback, on which keys may come without TLS.
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class KeysUnavailable(Exception):
    """The keys could not be had. `str(error)` says where from and why, without a password."""


class Source(Protocol):
    """A place that keys come from."""

    #: What it is called in messages.
    description: str
    #: Seconds between two loads; 0 where it never changes.
    interval: float
    #: Whether it is another server's.
    remote: bool

    async def load(self) -> list[Key]:
        """The keys that it has now. Raises `KeysUnavailable`."""

    def close(self) -> None:
        """Release it."""


def sources_of(settings: Settings) -> list[Source]:
    """The places that `settings` name. Raises `SettingsError`, which names the setting."""
    sources: list[Source] = []
    if settings.token_secret:
        try:
            sources.append(_Fixed("token_secret", [secret_key(settings.token_secret)]))
        except BadKey as error:
            raise SettingsError(f"token_secret: {error}") from None
    if settings.token_secret_file:
        sources.append(_File("token_secret_file", settings.token_secret_file, secrets=True))
    if "://" in settings.token_keys:
        sources.append(_Address(settings.token_keys))
    elif settings.token_keys:
        sources.append(_File("token_keys", settings.token_keys))
    return sources


class _Fixed:
    interval = 0.0
    remote = False

    def __init__(self, description: str, keys: list[Key]) -> None:
        self.description = description
        self._keys = keys

    async def load(self) -> list[Key]:
        return self._keys

    def close(self) -> None:
        pass


class _File:
    interval = FILE_INTERVAL
    remote = False

    def __init__(self, setting: str, path: str, *, secrets: bool = False) -> None:
        self.description = f"{setting}: {path!r}"
        self._path = Path(path)
        self._secrets = secrets

    async def load(self) -> list[Key]:
        # A file may lie on a disk that is slow, or gone.
        return await asyncio.to_thread(self._read)

    def _read(self) -> list[Key]:
        try:
            with self._path.open("rb") as file:
                data = file.read(MOST_BYTES + 1)
            if len(data) > MOST_BYTES:
                raise BadKey(f"is larger than {MOST_BYTES:,} bytes")
            return secret_keys(data.decode()) if self._secrets else public_keys(data)
        except UnicodeDecodeError:
            raise KeysUnavailable(f"{self.description} is not UTF-8") from None
        except BadKey as error:
            raise KeysUnavailable(f"{self.description} {error}") from None
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = getattr(error, "strerror", None) or error
            raise KeysUnavailable(f"{self.description}: {reason}") from None

    def close(self) -> None:
        pass


class _Address:
    interval = FETCH_INTERVAL
    remote = True

    def __init__(self, url: str) -> None:
        """Raises `SettingsError`."""
        try:
            parts = urllib.parse.urlsplit(url)
            place = parts.netloc.rpartition("@")[2]
            plain = parts.scheme == "http" and parts.hostname in _LOOPBACK
            if parts.port == 0 or not parts.hostname or (parts.scheme != "https" and not plain):
                raise ValueError
        except ValueError:
            raise SettingsError(
                "token_keys: expected a file, or an address that begins with https://"
                " (http:// on loopback only)"
            ) from None
        # The rest of the address may hold what is not to be shown.
        self.description = f"token_keys: {parts.scheme}://{place}"
        self._url = url
        self._client: tornado.httpclient.AsyncHTTPClient | None = None

    async def load(self) -> list[Key]:
        if self._client is None:
            self._client = tornado.httpclient.AsyncHTTPClient(
                force_instance=True, max_body_size=MOST_BYTES, max_clients=1
            )
        try:
            answer = await self._client.fetch(
                self._url,
                headers={"Accept": "application/jwk-set+json, application/json"},
                connect_timeout=FETCH_TIMEOUT,
                request_timeout=FETCH_TIMEOUT,
                # Where it leads might be a place that may not say which keys there are.
                follow_redirects=False,
                # The bound on size is one of what is kept, too.
                decompress_response=False,
            )
            return public_keys(answer.body)
        except BadKey as error:
            raise KeysUnavailable(f"{self.description}: the answer {error}") from None
        except tornado.httpclient.HTTPError as error:
            # 599 is Tornado's own, for no answer at all.
            reason = f"HTTP {error.code}" if error.code < 599 else error.message
            raise KeysUnavailable(f"{self.description}: {reason}") from None
        except Exception as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise KeysUnavailable(f"{self.description}: {reason}") from None

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
