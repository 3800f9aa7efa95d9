"""Frames of WebSockets as bytes."""

from __future__ import annotations

# What the bytes are


def masked(opcode: int, payload: bytes, *, final: bool = True, key: bytes = b"\1\2\3\4") -> bytes:
    """A frame as a client sends it (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 65536:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    body = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
    return bytes(((0x80 if final else 0) | opcode,)) + length + key + body


def taken_apart(data: bytes) -> list[tuple[int, bytes]]:
    """The frames in what a server sent."""
    frames = []
    while data:
        size, start = data[1], 2
        if size >= 126:
            start += 2 if size == 126 else 8
            size = int.from_bytes(data[2:start], "big")
        assert len(data) >= start + size
        frames.append((data[0], data[start : start + size]))
        data = data[start + size :]
    return frames
