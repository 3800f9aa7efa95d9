"""The description of the API (OpenAPI 3.1), made from the route table and what handlers declare.

What all operations of a kind have in common follows from the path (ids), the method (idempotency
keys, ETags) and the action (tokens); `Operation` says the rest.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from tornado_board import __version__
from tornado_board.auth.policy import Action, needed_scope
from tornado_board.settings import Settings
from tornado_board.web.bodies import NOT_NULL
from tornado_board.web.described import ID, Operation, Parameter, Text, Told
from tornado_board.web.handler import Handler
from tornado_board.web.idempotency import KEY, KEY_PATTERN
from tornado_board.web.meta import SCHEMAS
from tornado_board.web.paths import template
from tornado_board.web.problems import title
from tornado_board.web.shapes import ProblemDetails

Routes = Iterable[tuple[str, type[Handler]]]

_METHODS = ("GET", "POST", "PATCH", "DELETE")

#: When problems are answered.
_PROBLEMS = {
    400: "An id, a parameter or the body is wrong.",
    401: "This needs a token, or the one that was sent is no good.",
    403: "The token is not for this, or a browser's request came from another site.",
    404: "There is no such board, or player.",
    409: "The id is taken; what is there stands in the way; the season that is named is over, or "
    "there is none; or a request with this idempotency key is under way.",
    410: "What boards were, and seasons that are over, are kept for a time only; this is older.",
    413: "The body is too large.",
    415: "The body is not of a type that is taken here.",
    422: "The change does not go with what is there, or the idempotency key was another request's.",
    426: "The WebSocket is of another version than 13.",
    429: "Too many writes, connections or boards of one client.",
    503: "The store can't be reached or is overloaded, or a limit is reached.",
}

#: Fields of answers' headers.
_HEADERS = {
    "ETag": "What the answer was; send it back as If-None-Match.",
    "Idempotency-Replayed": "`true` where a request with this key was answered before.",
    "Last-Event-ID": "From where a stream misses nothing of what happens after this answer.",
    "Link": "Where the next page is, and the one before.",
    "Location": "Where it is that was made.",
    "Retry-After": "In how many seconds to try again.",
    "WWW-Authenticate": "What is wrong with the token, or that there is none.",
}

_OWN_HEADERS = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}

_REFERENCE = "#/components/schemas/{name}"

_PROBLEM_TYPE = "application/problem+json"

_INFO = (
    "Boards of ranked players, whose changes are pushed to everyone who watches.\n\n"
    "Paths work with and without the slash at their end. `HEAD` works wherever `GET` does, and "
    "`OPTIONS` everywhere. Errors are `application/problem+json` (RFC 9457). Members and headers "
    "may be added to answers: pass over what you don't know."
)


def describe(routes: Routes, settings: Settings) -> dict[str, Any]:
    """The description of the API that `routes` serve under these `settings`."""
    operations = list(_operations(routes))
    kinds = list(dict.fromkeys(kind for *_, operation in operations for kind in _kinds(operation)))
    schemas, components = msgspec.json.schema_components(
        [*kinds, ProblemDetails], ref_template=_REFERENCE
    )
    known = dict(zip(kinds, schemas, strict=False))
    tokens = settings.takes_tokens
    paths: dict[str, dict[str, Any]] = {}
    for path, method, handler, operation in operations:
        described = paths.setdefault(path, {})
        described[method.lower()] = _described(path, method, handler, operation, known, tokens)
    for path, described in paths.items():
        _link(path, described, paths)
    whole: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "tornado_board",
            "version": __version__,
            "description": _INFO,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {
            "schemas": {
                **{name: _trimmed(schema) for name, schema in components.items()},
                **SCHEMAS,
            },
            "responses": {str(status): _problem(status) for status in _PROBLEMS},
            "securitySchemes": _security_schemes(settings) if tokens else {},
        },
    }
    if settings.path_prefix:
        whole["servers"] = [{"url": settings.path_prefix}]
    clean: dict[str, Any] = _portable(whole)
    return clean


def _operations(routes: Routes) -> Iterator[tuple[str, str, type[Handler], Operation]]:
    for pattern, handler in routes:
        for method in _METHODS:
            if method in handler.allowed and method in handler.operations:
                yield template(pattern), method, handler, handler.operations[method]


def _kinds(operation: Operation) -> Iterator[Any]:
    if operation.body is not None:
        yield from operation.body.contents.values()
    for told in operation.answers.values():
        yield from (kind for kind in told.contents.values() if kind is not None)


def _described(
    path: str,
    method: str,
    handler: type[Handler],
    operation: Operation,
    known: Mapping[Any, Any],
    tokens: bool,
) -> dict[str, Any]:
    action = handler.actions.of(method)
    summary, _, text = inspect.cleandoc(getattr(handler, method.lower()).__doc__ or "").partition(
        "\n\n"
    )
    repeats = action.changes and method in ("POST", "PATCH")
    described: dict[str, Any] = {
        "operationId": method.lower() + handler.__name__.removesuffix("Handler"),
        "tags": [_tag(path)],
        "summary": " ".join(summary.split()).rstrip("."),
        "description": text,
        "parameters": [
            *map(_path_parameter, re.findall(r"\{(\w+)\}", path)),
            *map(_parameter, operation.parameters),
            *([_parameter(_IDEMPOTENCY_KEY)] if repeats else []),
            *([_parameter(_IF_NONE_MATCH)] if 200 in operation.answers and method == "GET" else []),
        ],
        "responses": {
            str(status): _response(told, known, replayed=repeats)
            for status, told in operation.answers.items()
        }
        | ({"304": {"description": "It is as it was."}} if method == "GET" else {})
        | {
            str(status): {"$ref": f"#/components/responses/{status}"}
            for status in sorted(_problems(path, method, action, operation))
        },
        "security": _security(action, tokens),
    }
    if operation.body is not None:
        described["requestBody"] = {
            "required": not operation.body.empty,
            "content": {
                kind: {"schema": known[shape]} for kind, shape in operation.body.contents.items()
            },
        }
    return described


_IDEMPOTENCY_KEY = Text(
    name=KEY,
    text="The request is carried out once, however often it comes with this key.",
    place="header",
    pattern=KEY_PATTERN,
)
_IF_NONE_MATCH = Parameter(
    name="If-None-Match", text="An `ETag` of before: 304 while it holds.", place="header"
)


def _problems(path: str, method: str, action: Action, operation: Operation) -> set[int]:
    """The statuses of all problems that it may be answered."""
    found = {*operation.problems, 400}
    if action is not Action.OPEN:
        found |= {401, 403, 429, 503}
    if "{" in path:
        found.add(404)
    if method != "GET":
        found.add(403)
    if operation.body is not None:
        found |= {413, 415}
    if method in ("POST", "PATCH") and action.changes:
        found |= {409, 422}
    return found - set(operation.answers)


def _parameter(parameter: Parameter) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.text,
        "schema": dict(parameter.schema),
    }
    if parameter.schema.get("type") == "array":
        described |= {"style": "form", "explode": bool(getattr(parameter, "repeated", False))}
    if getattr(parameter, "required", False):
        described["required"] = True
    return described


def _path_parameter(name: str) -> dict[str, Any]:
    schema = {"type": "string"} if name == "file" else ID
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _response(told: Told, known: Mapping[Any, Any], *, replayed: bool) -> dict[str, Any]:
    described: dict[str, Any] = {"description": told.text}
    headers = (*told.headers, *(("Idempotency-Replayed",) if replayed else ()))
    if headers:
        described["headers"] = _header_fields(headers)
    if told.contents:
        described["content"] = {
            kind: {"schema": {"type": "string"} if shape is None else known[shape]}
            for kind, shape in told.contents.items()
        }
    return described


def _problem(status: int) -> dict[str, Any]:
    return {
        "description": f"{title(status)}. {_PROBLEMS[status]}",
        "content": {_PROBLEM_TYPE: {"schema": {"$ref": _REFERENCE.format(name="ProblemDetails")}}},
    } | ({"headers": _header_fields(_OWN_HEADERS[status])} if status in _OWN_HEADERS else {})


def _header_fields(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in names}


def _tag(path: str) -> str:
    """What an operation belongs to: what the path's last part that does not vary names."""
    if "/events/" in path:
        return "watch"
    if "/score" in path:
        return "submit"
    if "/players/" in path:
        return "players"
    return "boards" if path.startswith("/boards/") else "server"


def _security(action: Action, tokens: bool) -> list[dict[str, list[str]]]:
    """What may be presented; an empty one stands for nothing."""
    if not tokens or action is Action.OPEN:
        return [{}]
    scope = [str(needed_scope(action))]
    reads = action in (Action.READ, Action.LIST)
    kinds = ("bearer", "cookie", "ticket") if reads else ("bearer", "cookie")
    return [*([{}] if reads else []), *({kind: scope} for kind in kinds)]


def _security_schemes(settings: Settings) -> dict[str, Any]:
    return {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A token. Its `scope`, `boards` and `sub` say what it allows.",
        },
        "cookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": settings.token_cookie or "none",
            "description": "The same in a cookie, for pages of this server's own.",
        },
        "ticket": {
            "type": "apiKey",
            "in": "query",
            "name": "ticket",
            "description": "What POST /tickets/ gives, for where no header can be set.",
        },
    }


def _link(path: str, described: Mapping[str, Any], paths: Mapping[str, Any]) -> None:
    """Say what can be done with what a POST to `path` makes: everything at the paths below that
    have its id."""
    made = described.get("post", {}).get("responses", {}).get("201")
    if made is None or "content" not in made:
        return
    links = {}
    for other, methods in paths.items():
        match = re.match(rf"{re.escape(path)}\{{(\w+)\}}/", other)
        if match is None:
            continue
        for operation in methods.values():
            names = re.findall(r"\{(\w+)\}", other)
            at = names.index(match[1])
            if len(names) > at + 1:
                continue  # it takes another id, too
            links[operation["operationId"]] = {
                "operationId": operation["operationId"],
                "parameters": {
                    **{name: f"$request.path.{name}" for name in names[:at]},
                    match[1]: "$response.body#/id",
                },
            }
    if links:
        made["links"] = links


def _trimmed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A struct's schema; that of a body without its docstring, which is for who reads the code, and
    with what `bodies` looks at besides."""
    shown = dict(schema)
    properties = {name: dict(one) for name, one in schema.get("properties", {}).items()}
    if "meta" in properties:
        properties["meta"] = {"$ref": _REFERENCE.format(name="Meta")}
    if schema.get("additionalProperties") is False:
        del shown["description"]
        for name in NOT_NULL & properties.keys():
            if "anyOf" in properties[name]:
                properties[name] = properties[name]["anyOf"][0]
    return {**shown, "properties": properties}


def _portable(value: Any) -> Any:
    """`value` with patterns as all readers of JSON Schema know them, texts as Markdown, and without
    what is empty and need not be there."""
    if isinstance(value, Mapping):
        return {
            key: _portable_text(key, one) if isinstance(one, str) else _portable(one)
            for key, one in value.items()
            if not (key in ("description", "parameters") and not one)
        }
    return [_portable(one) for one in value] if isinstance(value, list | tuple) else value


def _portable_text(key: str, text: str) -> str:
    if key == "pattern":
        return text.replace(r"\Z", "$")
    return text.replace("``", "`") if key in ("description", "summary") else text
