"""Many submissions in one body: a JSON array, or NDJSON, a JSON object a line.

Each stands for itself. Nearly all are plain, and msgspec decodes those in a quarter of the time;
what it can't judge as strictly as single bodies are judged, `bodies.decode_object` does (decision
10).
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Final, TypeVar

import msgspec

from tornado_board.inputs import UNSET, Submission
from tornado_board.models import Number
from tornado_board.realtime.ranks import Standing
from tornado_board.store import Submitted
from tornado_board.web.bodies import JSON, NotJSON, check_name, decode_object
from tornado_board.web.problems import Problem

T = TypeVar("T")

NDJSON: Final = "application/x-ndjson"

#: The most submissions in a request.
MOST_SUBMISSIONS = 10_000

#: The longest submission, in bytes: the longest name and ``meta``, each character escaped, fit.
MOST_BYTES = 16_384

#: Seconds for which a request may hold the event loop at a time, and how many items are between two
#: looks at the clock.
_SLICE = 0.003
_AT_ONCE = 64

#: The longest body, in bytes, that is decoded at once: about a millisecond.
_SHORT = 131_072

#: Quotes in a plain submission: two around each name of a field, and two around each string.
_QUOTES = 6  # id and its value, score
_QUOTES_MORE = 4  # the operator's, or the name's

_plain = msgspec.json.Decoder(Submission)
_plains = msgspec.json.Decoder(list[Submission])
_items = msgspec.json.Decoder(list[msgspec.Raw])
_blanks = re.compile(r"[ \t\r\n]*")
_any = json.JSONDecoder()


async def in_slices(items: Sequence[T]) -> AsyncIterator[Sequence[T]]:
    """`items` in pieces; the event loop goes on to others now and then."""
    until = time.monotonic() + _SLICE
    for i in range(0, len(items), _AT_ONCE):
        yield items[i : i + _AT_ONCE]
        if time.monotonic() >= until:
            await asyncio.sleep(0)
            until = time.monotonic() + _SLICE


async def submissions(body: bytes, content_type: str) -> list[Submission | Problem]:
    """What a body of `JSON` or `NDJSON` hands in: in its order submissions and, of those that are
    wrong, why.

    Raises `Problem` 400 for what is no array, or NDJSON without a line of JSON, and 413 for too
    many.
    """
    if not body:
        raise Problem(400, "The body is empty; send a JSON array of submissions, or NDJSON.")
    if content_type == JSON:
        plain = _plain_array(body)
        if plain is not None:
            return plain
        texts = await _split_array(body)
    else:
        # A newline is no part of a JSON text without line breaks.
        if body.count(b"\n") > MOST_SUBMISSIONS:
            raise _too_many()
        texts = [line for line in body.split(b"\n") if line.strip(b" \t\r")]
    if len(texts) > MOST_SUBMISSIONS:
        raise _too_many()
    found: list[Submission | Problem] = []
    async for some in in_slices(texts):
        are_apart = content_type == JSON or all(map(_is_apart, some))
        together = _plain_ones(some) if are_apart else None
        found.extend(map(submission, some) if together is None else together)
    if content_type == NDJSON and all(isinstance(item, NotJSON) for item in found):
        raise Problem(400, "The body is not NDJSON; send a JSON object a line, each a submission.")
    return found


def _plain_array(body: bytes) -> list[Submission | Problem] | None:
    """What the array in `body` hands in, if it is short, and all are plain and none too long."""
    if len(body) > _SHORT:
        return None
    found = _all_plain(body)
    # With one brace a submission, no string has any, and between two are all bytes of one.
    if found is None or body.count(b"}") != len(found):
        return None
    return [*found] if max(map(len, body.split(b"}"))) < MOST_BYTES else None


def _is_apart(line: bytes) -> bool:
    """Whether `line`, if it has no quote that is escaped, begins and ends with an object, so that
    nothing in it goes on in another line."""
    return line[:1] == b"{" and line[-1:] == b"}" and line.count(b'"') % 2 == 0


def _plain_ones(texts: Sequence[bytes]) -> list[Submission] | None:
    """The submissions that `texts` spell, if there is one in each, and all are as `_plainly` has
    them. If the quotes are as many as in plain ones, none has more."""
    if max(map(len, texts)) > MOST_BYTES:
        return None
    found = _all_plain(b"[%b]" % b",".join(texts))
    return found if found is not None and len(found) == len(texts) else None


def _all_plain(whole: bytes) -> list[Submission] | None:
    """The submissions in an array, if all are as `_plainly` has them."""
    try:
        found = _plains.decode(whole)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    quotes = _QUOTES * len(found)
    for one in found:
        if one.meta is not UNSET:
            return None
        if one.operator is not UNSET:
            quotes += _QUOTES_MORE
        if one.name is not UNSET:
            quotes += _QUOTES_MORE
            try:
                check_name(one.name)
            except Problem:
                return None
        score = one.score
        if type(score) is float and score.is_integer():
            one.score = int(score)
    if whole.count(b'"') != quotes:
        return None
    return found if whole.count(b"\\") == whole.count(b"\\u") else None


def submission(text: bytes) -> Submission | Problem:
    """The submission that `text` spells, or why it is none."""
    if len(text) > MOST_BYTES:
        return Problem(400, f"The submission is too long; the most is {MOST_BYTES:,} bytes.")
    try:
        return _plainly(text) or decode_object(text, Submission, "The submission")
    except Problem as problem:
        # Thousands of these are kept for a while; frames, and what was wrong there, need not be.
        problem.__context__ = None
        return problem.with_traceback(None)


def _plainly(text: bytes) -> Submission | None:
    """The submission that `text` spells, if it is right and has nothing that msgspec can't judge: a
    field twice, ``meta``."""
    try:
        found = _plain.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if found.meta is not UNSET or text.count(b"\\") != text.count(b"\\u"):
        return None  # quotes may be escaped, and say nothing then
    quotes = _QUOTES
    if found.operator is not UNSET:
        quotes += _QUOTES_MORE
    name = found.name
    if name is not UNSET:
        quotes += _QUOTES_MORE
        check_name(name)
    if text.count(b'"') != quotes:
        return None
    score = found.score
    if type(score) is float and score.is_integer():
        found.score = int(score)
    return found


async def _split_array(body: bytes) -> Sequence[bytes]:
    """The items of the JSON array in `body`, as they are spelled."""
    try:
        return [bytes(item) for item in _items.decode(body)]
    except msgspec.ValidationError:
        raise Problem(400, "The body must be a JSON array of submissions.") from None
    except (msgspec.DecodeError, RecursionError):
        pass
    # It is no JSON. If that is the fault of single items (a NaN, half of a surrogate pair), the
    # others go on.
    found: list[bytes] = []
    until = time.monotonic() + _SLICE
    for item in _items_of(body.decode("utf-8", "surrogateescape")):
        found.append(item.encode("utf-8", "surrogateescape"))
        if len(found) > MOST_SUBMISSIONS:
            raise _too_many()
        if time.monotonic() >= until:
            await asyncio.sleep(0)
            until = time.monotonic() + _SLICE
    return found


def _items_of(text: str) -> Iterator[str]:
    """The items of the array in `text`, where its commas and brackets are right."""

    def skip(position: int) -> int:
        match = _blanks.match(text, position)
        assert match is not None
        return match.end()

    position = skip(0)
    if text[position : position + 1] != "[":
        raise _not_an_array(text, "Expecting value", position)
    position = skip(position + 1)
    while True:
        try:
            # No more than an item may have is looked at.
            _, length = _any.raw_decode(text[position : position + MOST_BYTES + 1])
        except json.JSONDecodeError as error:
            raise _not_an_array(text, error.msg, position + error.pos) from None
        except RecursionError:
            raise Problem(400, "The body is nested too deeply.") from None
        yield text[position : position + length]
        position = skip(position + length)
        mark = text[position : position + 1]
        position = skip(position + 1)
        if mark == "]":
            break
        if mark != ",":
            raise _not_an_array(text, "Expecting ',' delimiter", position - 1)
    if position < len(text):
        raise _not_an_array(text, "Extra data", position)


def _not_an_array(text: str, message: str, position: int) -> Problem:
    error = json.JSONDecodeError(message, text, min(position, len(text)))
    where = f"line {error.lineno}, column {error.colno}"
    return Problem(400, f"The body is not JSON: {error.msg} at {where}.")


def _too_many() -> Problem:
    return Problem(413, f"Too many submissions; the most in a request is {MOST_SUBMISSIONS:,}.")


class _Previous(msgspec.Struct, gc=False):
    score: Number


class _Accepted(msgspec.Struct, gc=False):
    """What a submission did, as its line of the answer tells."""

    status: int
    id: str
    name: str
    score: Number
    changed: bool
    previous: _Previous | None
    rank: int | msgspec.UnsetType = UNSET
    of: int | msgspec.UnsetType = UNSET


class _Refused(msgspec.Struct, gc=False):
    status: int
    detail: str


def results(
    outcomes: Sequence[Submitted | Problem], standing: Callable[..., Standing | None]
) -> list[_Accepted | _Refused]:
    """What the answer tells of `outcomes`. `standing` gives that of scores, if it is known."""
    scores = [
        done.player.score
        for done in outcomes
        if isinstance(done, Submitted) and not done.player.hidden
    ]
    known = standing(*scores)
    if known is None:
        return list(map(_result, outcomes))
    better = iter(known.better)
    return [
        _result(outcome, next(better) + 1, known.of)
        if isinstance(outcome, Submitted) and not outcome.player.hidden
        else _result(outcome)
        for outcome in outcomes
    ]


def _result(
    outcome: Submitted | Problem,
    rank: int | msgspec.UnsetType = UNSET,
    of: int | msgspec.UnsetType = UNSET,
) -> _Accepted | _Refused:
    if not isinstance(outcome, Submitted):
        return _Refused(outcome.status_code, outcome.detail)
    player, before = outcome.player, outcome.previous
    return _Accepted(
        200 if before is not None else 201,
        player.id,
        player.name,
        player.score,
        outcome.changed,
        _Previous(before) if before is not None else None,
        rank,
        of,
    )


async def answer(results: Sequence[_Accepted | _Refused], content_type: str) -> bytes:
    """The body of the answer: as the request, an array, or a line each."""
    lines: list[bytes] = []
    async for some in in_slices(results):
        lines.append(msgspec.json.encode(some)[1:-1] if content_type == JSON else _lines(some))
    if content_type == JSON:
        return b"[" + b",".join(lines) + b"]\n"
    return b"".join(lines)


def _lines(results: Sequence[_Accepted | _Refused]) -> bytes:
    return _encoder.encode_lines(results)


_encoder = msgspec.json.Encoder()
