"""What a method of a resource takes and answers, declared once: handlers read a request by it, and
`openapi` describes it to clients."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

from tornado_board.models import ID_PATTERN
from tornado_board.seasons import MOST_NUMBER
from tornado_board.web import parameters, times
from tornado_board.web.bodies import FORM, JSON
from tornado_board.web.exchange import Asked

T = TypeVar("T", bound=msgspec.Struct)

#: The schema of an id.
ID = {"type": "string", "pattern": ID_PATTERN}


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of the query, or a field of the header; `text` says what it is for."""

    name: str
    text: str
    place: str = "query"

    @property
    def schema(self) -> Mapping[str, Any]:
        """What it has to be (JSON Schema)."""
        return {"type": "string"}


class Read(Parameter):
    """One that says itself how it is read."""

    def of(self, asked: Asked) -> object:
        """What the request says. Raises `Problem`."""
        raise NotImplementedError


def check(asked: Asked, *read: Read) -> None:
    """Raise `Problem` unless these are as they have to be, though nothing asks what they say."""
    for parameter in read:
        parameter.of(asked)


@dataclass(frozen=True, kw_only=True)
class Text(Parameter):
    """Any text, which its reader looks at; of a `pattern` if there is one."""

    pattern: str = ""

    @property
    def schema(self) -> Mapping[str, Any]:
        return {"type": "string"} | ({"pattern": self.pattern} if self.pattern else {})


@dataclass(frozen=True, kw_only=True)
class Integer(Read):
    """A whole number from `low` to `high`; without it, `default`."""

    default: int | None
    low: int
    high: int

    @property
    def schema(self) -> Mapping[str, Any]:
        bounds = {"type": "integer", "minimum": self.low, "maximum": self.high}
        return bounds if self.default is None else {**bounds, "default": self.default}

    def of(self, asked: Asked) -> int:
        """What the request says; 0 where it says nothing and there is no default."""
        return parameters.integer(asked, self.name, self.default or 0, self.low, self.high)


@dataclass(frozen=True, kw_only=True)
class SeasonNumber(Read):
    """The number of a season, or nothing for the present one."""

    name: str = "season"
    text: str = "The season of this number, and not the present one."

    @property
    def schema(self) -> Mapping[str, Any]:
        return {"type": "integer", "minimum": 1, "maximum": MOST_NUMBER}

    def of(self, asked: Asked) -> int | None:
        """What the request says; ``None`` where it says nothing."""
        return parameters.integer(asked, self.name, 0, 1, MOST_NUMBER) or None


@dataclass(frozen=True, kw_only=True)
class Identifier(Read):
    """An id, or nothing at all."""

    @property
    def schema(self) -> Mapping[str, Any]:
        return {"anyOf": [ID, {"const": ""}]}

    def of(self, asked: Asked) -> str:
        """What the request says; empty where it says nothing."""
        return parameters.identifier(asked, self.name)


@dataclass(frozen=True, kw_only=True)
class Flag(Read):
    """Yes or no."""

    @property
    def schema(self) -> Mapping[str, Any]:
        return {"type": "string", "enum": ["0", "1", ""]}

    def of(self, asked: Asked) -> bool:
        """What the request says."""
        return parameters.flag(asked, self.name)


@dataclass(frozen=True, kw_only=True)
class Names(Read):
    """Names of those `known`, with commas between them."""

    known: tuple[str, ...]

    @property
    def schema(self) -> Mapping[str, Any]:
        return {
            "type": "array",
            "items": {"type": "string", "enum": list(self.known)},
            "minItems": 1,
        }

    def of(self, asked: Asked) -> tuple[str, ...]:
        """What the request says; none where it says nothing."""
        return parameters.names(asked, self.name, *self.known)


@dataclass(frozen=True, kw_only=True)
class Choice(Read):
    """One of those `known`."""

    known: tuple[str, ...]

    @property
    def schema(self) -> Mapping[str, Any]:
        return {"type": "string", "enum": list(self.known)}

    def of(self, asked: Asked) -> str | None:
        """What the request says; ``None`` where it says nothing."""
        return parameters.choice(asked, self.name, *self.known)


@dataclass(frozen=True, kw_only=True)
class Identifiers(Parameter):
    """At most so many ids: with commas between them or, as `repeated`, each with the name."""

    most: int
    repeated: bool = False
    required: bool = False

    @property
    def schema(self) -> Mapping[str, Any]:
        return {"type": "array", "items": ID, "minItems": 1, "maxItems": self.most}


@dataclass(frozen=True, kw_only=True)
class Moment(Read):
    """A point in time: see `times`."""

    @property
    def schema(self) -> Mapping[str, Any]:
        return {"type": "string", "pattern": times.PATTERN}

    def of(self, asked: Asked) -> int | None:
        """What the request says, ms since 1970; ``None`` where it says nothing. Raises `Problem`
        422."""
        return times.moment(asked, self.name)


@dataclass(frozen=True, kw_only=True)
class Seconds(Read):
    """A number of seconds from 0 to `most`."""

    default: float
    most: float

    @property
    def schema(self) -> Mapping[str, Any]:
        return {"type": "number", "minimum": 0, "maximum": self.most, "default": self.default}

    def of(self, asked: Asked) -> float:
        """What the request says."""
        return parameters.seconds(asked, self.name, self.default, self.most)


@dataclass(frozen=True)
class Body(Generic[T]):
    """The body of a request: a JSON object that is a `kind`; one may be left out if it may be
    `empty`, and be a form with `form`."""

    kind: type[T]
    empty: bool = False
    form: bool = False

    def of(self, asked: Asked) -> T:
        """The request's. Raises `Problem`; see `bodies.decode`."""
        return asked.body(self.kind, empty=self.empty, form=self.form)

    @property
    def names(self) -> Collection[str]:
        """The fields that it can have."""
        return _names(self.kind)

    @property
    def contents(self) -> Mapping[str, Any]:
        """The types that it may be of, and what is in it."""
        return {JSON: self.kind} | ({FORM: self.kind} if self.form else {})


@dataclass(frozen=True)
class Submissions:
    """The body of a request that is a list of `kind`, as a JSON array or as lines."""

    kind: type[msgspec.Struct]
    lines: str
    empty = False

    @property
    def names(self) -> Collection[str]:
        """The fields that each can have."""
        return _names(self.kind)

    @property
    def contents(self) -> Mapping[str, Any]:
        """The types that it may be of, and what is in it."""
        return {JSON: list[self.kind], self.lines: str}  # type: ignore[name-defined]


@dataclass(frozen=True)
class Told:
    """An answer: what it says, its body by content type (a type, or ``None`` for bytes), and the
    fields of its header that are its own."""

    text: str
    contents: Mapping[str, Any] = field(default_factory=dict)
    headers: tuple[str, ...] = ()


#: What is said of parameters that say of when an answer is to be, where it can only be of now.
_OF_WHEN = {
    "season": "season: this is of the present season only; leave it out.",
    "at": "at: this can't be of another time than now; leave it out.",
}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A method of a resource. What all have in common, by their path, method and action, is not
    said here; see `openapi`."""

    answers: Mapping[int, Told]
    parameters: tuple[Parameter, ...] = ()
    body: Body[Any] | Submissions | None = None
    #: Statuses of problems that are its own.
    problems: tuple[int, ...] = ()

    @functools.cached_property
    def refused(self) -> Mapping[str, str]:
        """Parameters that are not its own and are not ignored like others, with what is said of
        them. To ignore them would be to do something else than what was asked for: to answer of
        another time, or without what was meant for the body."""
        names = () if self.body is None else self.body.names
        told = _OF_WHEN | {name: f"{name}: belongs in the request's body." for name in names}
        own = {parameter.name for parameter in self.parameters}
        return {name: text for name, text in told.items() if name not in own}


def _names(kind: type[msgspec.Struct]) -> Collection[str]:
    return [field.encode_name for field in msgspec.structs.fields(kind)]


def json_of(kind: Any) -> Mapping[str, Any]:
    """The contents of an answer in JSON that is a `kind`."""
    return {JSON: kind}
