"""The application: routes, errors and documentation put together."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.responses import HTMLResponse

from qgjob import __version__
from qgjob.client import Client
from qgjob.gateway import problems
from qgjob.gateway.answers import KnownRoute, Served
from qgjob.gateway.docs import page
from qgjob.gateway.gates import Gates
from qgjob.gateway.patience import SCHEDULER_ANSWERS_S, Patience
from qgjob.gateway.routes import bundles, jobs, lab

NEVER_LIMITED: Final = frozenset(route.path for route in lab.vital.routes if isinstance(route, APIRoute))
"""Paths of what watches over the lab."""


def make_app(client: Client, gates: Gates) -> FastAPI:
    """All routes on a connected client; requests were let through their gate before."""
    app = FastAPI(
        title="qgjob",
        version=__version__,
        description="Submit tests, follow them, read their results. Errors are problem documents (RFC 9457).",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # curl does not follow: it would print nothing and end with 0
        responses=problems.described(422),
    )
    client.bus.answers_within_s = SCHEDULER_ANSWERS_S
    app.state.served = Served(client, gates, Patience(client))
    problems.install(app)
    for routes in (jobs.router, bundles.router, lab.router):
        app.include_router(routes, responses=problems.described(401, 429, 503))
    app.include_router(lab.vital)

    async def docs() -> HTMLResponse:
        return HTMLResponse(page(app.openapi()))

    app.router.route_class = KnownRoute
    app.add_api_route("/docs", docs, include_in_schema=False)
    return app
