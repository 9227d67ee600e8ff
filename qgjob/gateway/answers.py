"""What every route needs: the connected client, and JSON responses."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import Response

from bus_schemas.base import MAX_ID_CHARS
from qgjob.client import Client
from qgjob.gateway.gates import Gates
from qgjob.gateway.patience import Patience


async def _client_of(request: Request) -> Client:
    # A coroutine, though it awaits nothing: FastAPI runs a plain function in a thread, at twice the cost.
    served: Served = request.app.state.served
    return served.client


@dataclass(frozen=True, slots=True)
class Served:
    """The client and settings for a route. One dependency, as each costs FastAPI some time."""

    client: Client
    gates: Gates
    """The limits in force."""
    patience: Patience
    """How long an answer may take."""


async def _served_of(request: Request) -> Served:
    served: Served = request.app.state.served
    return served


class KnownRoute(APIRoute):
    """Refuses unknown query parameters (a mistyped filter would match all) and repeated ones."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Build the handler, once for each route."""
        handle = super().get_route_handler()
        known = {field.alias for field in self.dependant.query_params}

        async def checked(request: Request) -> Response:
            if wrong := _wrong_parameters(request, known):
                raise RequestValidationError(wrong)
            return await handle(request)

        return checked


def _wrong_parameters(request: Request, known: Collection[str]) -> list[dict[str, Any]]:
    names = Counter(name for name, _ in request.query_params.multi_items())
    wrong: list[dict[str, Any]] = [
        {"type": "extra_forbidden", "loc": ("query", name), "msg": ""} for name in names if name not in known
    ]
    wrong += [
        {"type": "value_error", "loc": ("query", name), "msg": "is given more than once"}
        for name, count in names.items()
        if name in known and count > 1
    ]
    return wrong


ClientOf = Annotated[Client, Depends(_client_of)]
"""The connected client, in a route's signature."""

ServedOf = Annotated[Served, Depends(_served_of)]
"""All that it may need, in a route's signature."""


NamedId = Annotated[str | None, Query(min_length=1, max_length=MAX_ID_CHARS)]
"""An id that narrows down a question, as its parameter."""


def document(content: Any, status: int = 200) -> Response:
    """A JSON document; the shapes are those of the command line's `--json`."""
    return Response(json.dumps(content, ensure_ascii=False), status, None, "application/json")
