"""The programs of a lab, each as an operator starts it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Generator

from tests.acceptance.conftest import Qgjob
from tests.support.http import Http
from tests.support.wait import wait_for


@contextlib.contextmanager
def running(qgjob: Qgjob, *args: str) -> Generator[None]:
    """A service, its words in a file of its name; SIGTERM ends it in order."""
    said = qgjob.folder / f"{args[0]}.said"
    with said.open("wb") as file:
        process = subprocess.Popen(
            [*qgjob.argv, *args],
            cwd=qgjob.folder,
            env=qgjob.env,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, said.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


async def wait_for_agent(http: Http, agent: str) -> None:
    """Until the gateway shows that agent and no other."""

    async def there() -> bool:
        with contextlib.suppress(OSError):
            answer = await http.get("/api/agents")
            return answer.status == 200 and [a["agent"] for a in answer.json["agents"]] == [agent]
        return False

    await wait_for(there, 30, f"{agent}, seen by the gateway")
