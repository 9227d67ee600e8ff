"""Test bundles: the tests and what lies beside them, packed."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import IO, Final

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from qgjob.client.submitting.bundles import MAX_BUNDLE_BYTES
from qgjob.domain.wording import show_size
from qgjob.gateway.answers import KnownRoute, ServedOf, document
from qgjob.gateway.problems import described

router = APIRouter(prefix="/api/bundles", tags=["jobs"], route_class=KnownRoute)

_GZIP: Final = b"\x1f\x8b"
_BODY: Final = {"content": {"application/gzip": {"schema": {"type": "string", "format": "binary"}}}}


@router.post(
    "",
    status_code=201,
    summary="Store a test bundle",
    openapi_extra={"requestBody": _BODY},
    responses=described(413),
)
async def store(request: Request, served: ServedOf) -> Response:
    """Send a `.tar.gz` as the body; its digest goes into the submit's `bundle`."""
    with tempfile.NamedTemporaryFile(prefix="qgjob-bundle-") as file:
        await _receive(request, file)
        client, packed = served.client, Path(file.name)
        bundle = await served.patience.moving(lambda moved: client.upload_bundle(packed, progress=moved))
    return document({"bundle": bundle.digest, "digest": bundle.digest, "size": bundle.size}, 201)


async def _receive(request: Request, file: IO[bytes]) -> None:
    size = 0
    begin = b""
    try:
        async for part in request.stream():
            if len(begin) < len(_GZIP):
                begin = (begin + part)[: len(_GZIP)]
                if not _GZIP.startswith(begin):
                    raise HTTPException(
                        422,
                        "The body is no .tar.gz: send the packed bundle itself (curl --data-binary @FILE).",
                    )
            size += len(part)
            if size > MAX_BUNDLE_BYTES:
                raise HTTPException(413, f"A test bundle has at most {show_size(MAX_BUNDLE_BYTES)}.")
            await asyncio.to_thread(file.write, part)
    except ClientDisconnect:
        raise HTTPException(400, "The body broke off.") from None
    if not size:
        raise HTTPException(422, "The body is empty: send the packed bundle (.tar.gz) itself.")
    file.flush()
