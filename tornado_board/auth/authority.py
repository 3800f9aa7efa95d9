"""The keys and the verifier of one server, opened together.

This imports libraries that take 20 MB; a server without keys does without them.
"""

from __future__ import annotations

from tornado_board.auth.claims import UNKNOWN_KEY, Refused, Token
from tornado_board.auth.key_ring import KeyRing
from tornado_board.auth.key_sources import KeysUnavailable, sources_of
from tornado_board.auth.verifier import Verifier
from tornado_board.settings import Settings

__all__ = ["Authority", "KeysUnavailable"]


class Authority:
    """Says which tokens are good, with keys that are kept as they are now."""

    def __init__(self, settings: Settings) -> None:
        """Raises `SettingsError`, for a weak secret say."""
        self._verifier = Verifier(issuer=settings.token_issuer, audience=settings.token_audience)
        self._ring = KeyRing(sources_of(settings), self._verifier.use)
        self.still_good = self._verifier.still_good

    async def start(self) -> None:
        """Load the keys, and keep them up to date. Raises `KeysUnavailable`; see
        `KeyRing.start`."""
        await self._ring.start()

    @property
    def has_keys(self) -> bool:
        """Whether there is a key at all; otherwise no token can be told from another."""
        return self._verifier.has_keys

    def verify(self, text: str) -> Token | Refused:
        """See `Verifier.verify`."""
        return self._verifier.verify(text)

    async def verify_again(self, text: str) -> Token | Refused:
        """The same for a token whose key is unknown, after a look for new ones if one is due."""
        if await self._ring.look_again():
            return self._verifier.verify(text)
        return UNKNOWN_KEY

    def missing(self) -> list[str]:
        """What is missing, a sentence each, for ``/readyz``."""
        return self._ring.missing()

    async def close(self) -> None:
        await self._ring.close()
