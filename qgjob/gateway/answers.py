"""What every route needs: the connected client, and an answer in JSON."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from bus_schemas.base import MAX_ID_CHARS
from qgjob.client import Client
from qgjob.gateway.gates import Gates
from qgjob.gateway.patience import Patience


async def _client_of(request: Request) -> Client:
    # A coroutine, though it awaits nothing: FastAPI runs a plain function in a thread, at twice the cost.
    client: Client = request.app.state.client
    return client


async def _gates_of(request: Request) -> Gates:
    gates: Gates = request.app.state.gates
    return gates


async def _patience_of(request: Request) -> Patience:
    patience: Patience = request.app.state.patience
    return patience


async def only_known_parameters(request: Request) -> None:
    """Refuse what no route reads: a mistyped filter would let everything through, and of two one is lost."""
    route = request.scope["route"]
    known = {field.alias for field in route.dependant.query_params}
    names = Counter(name for name, _ in request.query_params.multi_items())
    wrong = [
        {"type": "extra_forbidden", "loc": ("query", name), "msg": ""} for name in names if name not in known
    ]
    wrong += [
        {"type": "value_error", "loc": ("query", name), "msg": "is given more than once"}
        for name, count in names.items()
        if name in known and count > 1
    ]
    if wrong:
        raise RequestValidationError(wrong)


ClientOf = Annotated[Client, Depends(_client_of)]
"""The connected client, in a route's signature."""

GatesOf = Annotated[Gates, Depends(_gates_of)]
"""The limits in force, in a route's signature."""

PatienceOf = Annotated[Patience, Depends(_patience_of)]
"""How long an answer may take, in a route's signature."""


NamedId = Annotated[str | None, Query(min_length=1, max_length=MAX_ID_CHARS)]
"""An id that narrows down a question, as its parameter."""


def document(content: Any, status: int = 200) -> Response:
    """A JSON document; the shapes are those of the command line's `--json`."""
    return Response(json.dumps(content, ensure_ascii=False), status, None, "application/json")
