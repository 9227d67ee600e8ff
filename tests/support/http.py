"""A caller of the gateway with nothing but HTTP."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from tests.support.wait import wait_for


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Http:
    """A caller with nothing but HTTP."""

    base: str

    async def get(self, path: str, **headers: str) -> Answer:
        return await asyncio.to_thread(self.ask, "GET", path, None, headers)

    async def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content_Type", "application/json")
        return await asyncio.to_thread(self.ask, "POST", path, body if body is not None else b"", headers)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        *,
        timeout: float = 30,
    ) -> Answer:
        named = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        request = urllib.request.Request(self.base + path, body, named, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, dict(error.headers), error.read())

    async def ended(self, job_id: str) -> dict[str, Any]:
        async def over() -> dict[str, Any] | None:
            job = (await self.get(f"/api/jobs/{job_id}")).json
            return job if job.get("ended_at") else None

        ended = await wait_for(over, timeout=30)
        assert ended is not None
        return ended
