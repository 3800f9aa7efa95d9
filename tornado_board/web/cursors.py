"""Cursors of pages: a place in a board's order, opaque to clients."""

from __future__ import annotations

import base64
import binascii

import msgspec

from tornado_board.models import SCORE_LIMIT, Number, Player, score_of
from tornado_board.store import Place
from tornado_board.web.meta import has_lone_surrogate

#: The longest cursor. Ids of this API make no longer one than 130 characters; those that other
#: programs stored may.
_LONGEST = 2000

_places = msgspec.json.Decoder(tuple[int | float, int, str])


def cursor_of(player: Player) -> str:
    """The cursor of the place that `player` has; safe in a URL."""
    place: tuple[Number, int, str] = (player.score, player.reached_at, player.id)
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).rstrip(b"=").decode()


def place_of(cursor: str) -> Place:
    """The place that `cursor` names, whether anybody is there or not.

    Raises `ValueError` unless it is one that `cursor_of` can give.
    """
    if len(cursor) > _LONGEST or not cursor.isascii() or "=" in cursor:
        raise ValueError("is no cursor")
    padding = "=" * (-len(cursor) % 4)
    try:
        # Not urlsafe_b64decode, which passes over what is not of the alphabet.
        text = base64.b64decode(cursor + padding, b"-_", validate=True)
        score, reached_at, player_id = _places.decode(text)
        place = Place(score_of(score), reached_at, player_id)
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError, ValueError):
        raise ValueError("is no cursor") from None
    is_time = -1 <= reached_at <= SCORE_LIMIT
    if not is_time or "\0" in player_id or has_lone_surrogate(player_id):
        raise ValueError("is no cursor")
    return place
