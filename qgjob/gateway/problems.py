"""Errors as problem documents (RFC 9457)."""

from __future__ import annotations

import http
import json
import logging
import re
from collections.abc import Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from qgjob.errors import ExitCode, QgjobError
from qgjob.gateway.gates import TooOftenError

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
_STATUS: Final = {
    ExitCode.USAGE: 422,
    ExitCode.NO_TESTS: 422,
    ExitCode.NOT_ALLOWED: 403,
    ExitCode.UNREACHABLE: 503,
    ExitCode.NOT_FOUND: 404,
    ExitCode.REFUSED: 409,
}

_NO_LIST: Final = frozenset({"tuple_type", "list_type"})
_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "hint": {"type": "string"},
    },
}
_RETRY_AFTER: Final = {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}

_WHY: Final = {
    401: "The token is missing or wrong, where the gateway asks for one.",
    404: "There is no such job, run or test.",
    409: "Refused; a `run_key` that stands for another submit is.",
    413: "The body is too large.",
    422: "A value is wrong; `errors` says which and why.",
    429: "Over a rate limit; `limit` says which, `Retry-After` when to come again.",
    503: "The lab does not answer; `Retry-After` says when to come again.",
}
_COME_AGAIN: Final = frozenset({429, 503})


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Answers that are problem documents, as OpenAPI has them."""
    return {status: _described(status) for status in statuses}


def _described(status: int) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": _WHY[status],
        "content": {MEDIA_TYPE: {"schema": _SCHEMA}},
    }
    return answer | ({"headers": {"Retry-After": _RETRY_AFTER}} if status in _COME_AGAIN else {})


_ROUTES: Final = (
    (re.compile(r"`?qgjob list\b`?"), "GET /api/jobs"),
    (re.compile(r"`?qgjob status ([jr]_\w+)`?"), r"GET /api/jobs/\1"),
    (re.compile(r"`?qgjob health`?"), "GET /api/health/detailed"),
    (re.compile(r"`?qgjob agents list`?"), "GET /api/agents"),
)
_OPTION: Final = re.compile(r"(?<!\S)--([a-z][a-z-]+)")
_UNREADABLE: Final = "There was an error parsing the body"
"""FastAPI's words for a body that is no text, or too much for the parser."""
_NO_BODY: Final = frozenset({"missing", "model_attributes_type"})


def problem(status: int, detail: str, *, headers: dict[str, str] | None = None, **more: Any) -> Response:
    """A problem document of no `type` of its own; `title` is the status in words."""
    document = {
        "type": "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **more,
    }
    return Response(json.dumps(document, ensure_ascii=False), status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every error of an application with a problem document."""
    app.add_exception_handler(QgjobError, _on_qgjob_error)
    app.add_exception_handler(TooOftenError, _too_often)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _on_unexpected)


def status_of(error: QgjobError) -> int:
    """The HTTP status of an error of ours."""
    return _STATUS.get(error.exit_code, 500)


async def _on_qgjob_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, QgjobError)  # noqa: S101 - what it is registered for
    status = status_of(error)
    if status >= 500:
        log.warning("%s %s: %s", request.method, request.url.path, error)
    retry = {"Retry-After": "2"} if status == 503 else None
    hint = {"hint": in_terms_of_http(error.hint)} if error.hint else {}
    return problem(status, in_terms_of_http(error.message), headers=retry, **hint)


def in_terms_of_http(text: str) -> str:
    """A sentence that names commands and options, for those with nothing but curl."""
    for command, route in _ROUTES:
        text = command.sub(route, text)
    return _OPTION.sub(lambda option: option[1].replace("-", "_"), text)


def too_often(error: TooOftenError) -> Response:
    """The answer to who is over a limit."""
    return problem(
        429,
        error.message,
        headers={"Retry-After": str(error.retry_after_s), "Cache-Control": "no-store"},
        hint=error.hint,
        retry_after_s=error.retry_after_s,
        retry_at=error.retry_at,
        limit=error.limit,
    )


async def _too_often(request: Request, error: Exception) -> Response:
    assert isinstance(error, TooOftenError)  # noqa: S101 - what it is registered for
    del request
    return too_often(error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
    del request
    errors = [_field(item) for item in error.errors()[:50]]
    first = errors[0]
    detail = f"{first['field']}: {first['message']}" if first["field"] else first["message"]
    return problem(422, detail, errors=errors)


def _field(item: dict[str, Any]) -> dict[str, str]:
    where: Sequence[Any] = item["loc"]
    if item["type"] == "json_invalid":
        return {"field": "", "message": f"the body is no JSON: {item.get('ctx', {}).get('error', '')}"}
    place, path = (where[0], where[1:]) if where else ("body", ())
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = "there is no such " + ("parameter" if place == "query" else "field")
    elif not path and place == "body" and item["type"] in _NO_BODY:
        message = (
            "a JSON body is needed, sent with Content-Type: application/json"
            if item.get("input") is None or isinstance(item["input"], bytes)
            else "the body is one JSON object, in { and }"
        )
    elif item["type"] == "missing":
        message = "is required"
    elif item["type"] in _NO_LIST:
        message = "is a list, in [ and ]"
    return {"field": ".".join(str(part) for part in path), "message": message, "in": str(place)}


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    detail = str(error.detail)
    if error.status_code == 400 and detail == _UNREADABLE:
        detail = "The body is no JSON: it is not UTF-8, or nested too deeply."
    if error.status_code == 404 and detail == "Not Found":
        path = request.url.path
        slash = ": leave out the slash at its end" if len(path) > 1 and path.endswith("/") else ""
        detail = f"There is nothing at {path}{slash}; GET /docs lists what there is."
    elif error.status_code == 405:
        detail = f"{request.method} is not possible at {request.url.path}."
    headers = dict(error.headers) if error.headers else None
    return problem(error.status_code, detail, headers=headers)


async def _on_unexpected(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem(500, "An error of ours; the gateway's log has more.")
