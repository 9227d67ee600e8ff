"""The application: routes, errors and documentation put together."""

from __future__ import annotations

from fastapi import Depends, FastAPI
from starlette.responses import HTMLResponse

from qgjob import __version__
from qgjob.client import Client
from qgjob.gateway import problems
from qgjob.gateway.answers import only_known_parameters
from qgjob.gateway.docs import page
from qgjob.gateway.routes import bundles, jobs, lab


def make_app(client: Client) -> FastAPI:
    """All routes on a connected client."""
    app = FastAPI(
        title="qgjob",
        version=__version__,
        description="Submit tests, follow them, read their results. Errors are problem documents (RFC 9457).",
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(only_known_parameters)],
    )
    app.state.client = client
    problems.install(app)
    for routes in (jobs.router, bundles.router, lab.router, lab.figures):
        app.include_router(routes)

    async def docs() -> HTMLResponse:
        return HTMLResponse(page(app.openapi()))

    app.add_api_route("/docs", docs, include_in_schema=False)
    return app
