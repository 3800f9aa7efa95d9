"""Which boards a token is for: ids, and patterns of them."""

from __future__ import annotations

from collections.abc import Iterable

#: What a pattern may be made of: the alphabet of ids, and the star that stands for any part of one.
_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-*")

#: The longest pattern, and the most that a token may have: a match is bounded work, whatever they
#: are.
LONGEST = 64
MOST = 64


class BoardPatterns:
    """A set of boards: the ids and patterns in `texts`; ``None`` is every board.

    In a pattern each ``*`` stands for any number of characters, none too. Raises `ValueError` for a
    text that no id could match, and for more than `MOST`.
    """

    __slots__ = ("_ids", "_patterns", "every", "texts")

    def __init__(self, texts: Iterable[str] | None) -> None:
        #: As they came, for who stores them.
        self.texts = None if texts is None else tuple(texts)
        chosen = () if self.texts is None else self.texts
        if len(chosen) > MOST:
            raise ValueError(f"boards: has {len(chosen)} ids and patterns; the most is {MOST}")
        for text in chosen:
            if not 1 <= len(text) <= LONGEST or not _ALPHABET.issuperset(text):
                raise ValueError(
                    f"boards: each is 1 to {LONGEST} characters of A-Z a-z 0-9 . _ ~ - *"
                )
        #: Whether it has every board there can be.
        self.every = self.texts is None or any(not text.strip("*") for text in chosen)
        self._ids = frozenset(text for text in chosen if "*" not in text)
        self._patterns = tuple(tuple(text.split("*")) for text in chosen if "*" in text)

    def __contains__(self, board_id: str) -> bool:
        if self.every or board_id in self._ids:
            return True
        return any(_matches(parts, board_id) for parts in self._patterns)


def _matches(parts: tuple[str, ...], text: str) -> bool:
    """Whether `text` is `parts` with anything between them.

    The first of several places for a part leaves the most for those behind it, so that no choice is
    ever taken back.
    """
    first, *middle, last = parts
    end = len(text) - len(last)
    position = len(first)
    if end < position or not text.startswith(first) or not text.endswith(last):
        return False
    for part in middle:
        found = text.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True
