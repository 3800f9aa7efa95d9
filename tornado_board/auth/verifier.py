"""Tokens as they are presented: read, verified with the keys that there are, and remembered."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jwt
import jwt.utils
import msgspec

from tornado_board.auth.claims import LEEWAY, UNKNOWN_KEY, Refused, Token, token_of
from tornado_board.auth.keys import ALGORITHMS, Key

#: The longest token, in characters. It is far more than the claims of this server need.
LONGEST = 4096

#: Verified tokens that are remembered. Past it, those that have gone unused longest are verified
#: again.
MOST_REMEMBERED = 10_000

#: Keys that a token is tried with which names none, or whose key has no name.
MOST_TRIED = 4

_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")

_NOT_A_TOKEN = Refused("That is not a token.")
_EXPIRED = Refused("The token has expired.")

_REASONS: Mapping[type[Exception], Refused] = {
    jwt.ImmatureSignatureError: Refused("The token is not valid yet."),
    jwt.InvalidSignatureError: Refused("The token's signature is not valid."),
    jwt.InvalidIssuerError: Refused("The token is not of the issuer that this server trusts."),
    jwt.InvalidAudienceError: Refused("The token is not for this server: see its aud."),
    jwt.MissingRequiredClaimError: Refused("The token lacks a claim: exp, iss or aud."),
}


class Verifier:
    """Tells the tokens that are good from those that are not.

    A token that was good is remembered by its bytes, until it expires or the keys change.
    """

    def __init__(
        self, *, issuer: str = "", audience: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        """`issuer` and `audience`: what ``iss`` has to be and ``aud`` has to name, where they are
        set."""
        self._clock = clock
        self._checks: dict[str, Any] = {
            "leeway": LEEWAY,
            "issuer": issuer or None,
            "audience": audience or None,
            "options": {
                "require": ["exp", *["iss"][: bool(issuer)], *["aud"][: bool(audience)]],
                # Looked at below: PyJWT cuts off the fraction of a second.
                "verify_exp": False,
                "verify_aud": bool(audience),
                "verify_iss": bool(issuer),
            },
        }
        self._keys: dict[str, tuple[Key, ...]] = {}
        self._thumbprints: frozenset[str] = frozenset()
        # In the order of their last use.
        self._remembered: OrderedDict[str, Token] = OrderedDict()

    def use(self, keys: Iterable[Key]) -> None:
        """Verify with `keys` from now on. What was verified with others is forgotten."""
        keys = list(keys)
        thumbprints = frozenset(key.thumbprint for key in keys)
        self._keys = {
            algorithm: tuple(key for key in keys if key.algorithm == algorithm)
            for algorithm in ALGORITHMS
        }
        if thumbprints != self._thumbprints:
            self._remembered.clear()
        self._thumbprints = thumbprints

    @property
    def has_keys(self) -> bool:
        return bool(self._thumbprints)

    def still_good(self, token: Token) -> bool:
        """Whether a token that was verified here, or in another process with these keys, is good
        now."""
        return token.key in self._thumbprints and token.until > self._clock()

    def verify(self, text: str) -> Token | Refused:
        """The token that `text` is.

        `UNKNOWN_KEY`, the object, where no key of this server's could have signed it.
        """
        token = self._remembered.get(text)
        if token is not None:
            if token.until <= self._clock():
                del self._remembered[text]
                return _EXPIRED
            self._remembered.move_to_end(text)
            return token
        outcome = self._verified(text)
        if isinstance(outcome, Token):
            self._remembered[text] = outcome
            if len(self._remembered) > MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        return outcome

    def _verified(self, text: str) -> Token | Refused:
        if len(text) > LONGEST or not _ALPHABET.issuperset(text) or text.count(".") != 2:
            return _NOT_A_TOKEN
        candidates = self._candidates(text)
        if not isinstance(candidates, list):
            return candidates
        refused = UNKNOWN_KEY
        for key in candidates:
            try:
                claims = jwt.decode(text, key.material, [key.algorithm], **self._checks)
            except jwt.InvalidSignatureError as error:
                refused = _REASONS[type(error)]  # it may be another key's
            except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
                return _REASONS.get(type(error), _NOT_A_TOKEN)
            else:
                token = token_of(claims, text, key.thumbprint)
                late = isinstance(token, Token) and token.until <= self._clock()
                return _EXPIRED if late else token
        return refused

    def _candidates(self, text: str) -> list[Key] | Refused:
        """The keys that may have signed the token: those of its algorithm, and of its ``kid`` if it
        and they have one."""
        try:
            header = msgspec.json.decode(jwt.utils.base64url_decode(text.partition(".")[0]))
        except (ValueError, RecursionError):
            return _NOT_A_TOKEN
        if not isinstance(header, dict) or "crit" in header:  # RFC 7515, section 4.1.11
            return _NOT_A_TOKEN
        algorithm, key_id = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            return Refused("The token's algorithm is none that this server takes.")
        keys = self._keys.get(algorithm, ())
        named = [key for key in keys if key.id is not None and key.id == key_id]
        # Verifying is most of what a token costs, and whoever makes one up need not name a key.
        others = [key for key in keys if key_id is None or key.id is None]
        return named or others[:MOST_TRIED] or UNKNOWN_KEY
