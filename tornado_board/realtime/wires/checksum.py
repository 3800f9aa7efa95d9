"""The checksum of a text that was sent in pieces, without the text: CRC-32 (RFC 1952, section 8).

The checksum of two pieces follows from those of each and the length of the second: it is that of
the first, moved on by the second's bits, plus that of the second. To move a checksum on by n bits
is to multiply it with x^n, modulo the polynomial of CRC-32, whose coefficients are bits.
"""

from __future__ import annotations

import functools
import zlib
from typing import NamedTuple

#: The polynomial without its highest term, and 1; the bit of the lowest power is the highest.
_POLYNOMIAL = 0xEDB88320
_ONE = 1 << 31

#: Lengths whose factor is kept. Clients that joined between the same two events share one.
_FACTORS = 1024


class Content(NamedTuple):
    """A text: its checksum and its length in bytes."""

    crc: int = 0
    size: int = 0

    @classmethod
    def of(cls, text: bytes) -> Content:
        """That of `text`."""
        return cls(zlib.crc32(text), len(text))

    def __add__(self, other: tuple[object, ...]) -> Content:
        """That of this text and `other`, a `Content`, behind it."""
        assert isinstance(other, Content)
        return Content(moved_on(self.crc, other.size) ^ other.crc, self.size + other.size)

    def trailer(self) -> bytes:
        """What a gzip stream of this text ends with (RFC 1952, section 2.3.1)."""
        return self.crc.to_bytes(4, "little") + (self.size & 0xFFFFFFFF).to_bytes(4, "little")


class Joined(NamedTuple):
    """What one client was sent that joined a text that others are sent too.

    `own` is the text that it was sent alone, before it joined when the others' text was `shared`.
    """

    own: Content
    shared: Content

    def at(self, now: Content) -> Content:
        """All that it was sent, when the others' text is `now`."""
        since = now.size - self.shared.size
        crc = moved_on(self.own.crc ^ self.shared.crc, since) ^ now.crc
        return Content(crc, self.own.size + since)


def moved_on(crc: int, size: int) -> int:
    """`crc`, behind which `size` bytes follow whose own checksum is still to be added."""
    return _product(_factor(size), crc)


@functools.lru_cache(maxsize=_FACTORS)
def _factor(size: int) -> int:
    """x^(8 * size)."""
    factor, power = _ONE, 3  # a byte has 2^3 bits
    while size:
        if size & 1:
            factor = _product(_squares(power), factor)
        size >>= 1
        power += 1
    return factor


@functools.cache
def _squares(power: int) -> int:
    """x^(2^power). A size has as many powers as it has bits."""
    if power == 0:
        return _ONE >> 1
    square = _squares(power - 1)
    return _product(square, square)


def _product(a: int, b: int) -> int:
    """The product of two polynomials, modulo that of CRC-32."""
    product, term = 0, _ONE
    while a:
        if a & term:
            product ^= b
            a ^= term
        term >>= 1
        b = (b >> 1) ^ _POLYNOMIAL if b & 1 else b >> 1
    return product
