"""Whether a text shows something. Pure."""

from __future__ import annotations

import unicodedata

#: What a character that shows nothing can be: a mark by itself, a control or format character, half
#: of a surrogate pair, a separator.
_BLANK_CATEGORIES = frozenset({"Mn", "Mc", "Me", "Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})

#: And those that are letters or symbols by their category: the fillers of Hangul, the blank of
#: Braille, a note without a head, the place of an object that is not there.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\U0001d159\ufffc")


def is_visible(text: str) -> bool:
    """Whether `text` has a character that shows something.

    A character that this Python's Unicode does not have yet counts as one, since it may be a new
    emoji, unless it is in a range that is set aside for what is not shown (Unicode's
    Default_Ignorable_Code_Point) or is none.
    """
    return any(map(_shows, text))


def _shows(character: str) -> bool:
    category = unicodedata.category(character)
    if category == "Cn":
        code = ord(character)
        return not (
            code == 0x2065
            or 0xFFF0 <= code <= 0xFFF8
            or 0xE0000 <= code <= 0xE0FFF
            or 0xFDD0 <= code <= 0xFDEF
            or code & 0xFFFE == 0xFFFE
        )
    return category not in _BLANK_CATEGORIES and character not in _BLANK
