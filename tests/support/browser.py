"""A real browser without a window: Chromium over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import itertools
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import aiohttp
from PIL import Image

from tests.support.wait import wait_for

# Terminals in pages draw on a canvas: what they were sent is noted before they see it.
_LISTEN = """
window.received = "";
const Real = window.WebSocket;
window.WebSocket = class extends Real {
  constructor(...args) {
    super(...args);
    const decoder = new TextDecoder();
    this.addEventListener("message", (event) => {
      if (typeof event.data !== "string") window.received += decoder.decode(event.data, {stream: true});
    });
  }
};
"""
_KEYS = {"Enter": 13, "Escape": 27}


def chromium() -> str | None:
    """The browser's program, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page:
    """A tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.addresses: list[str] = []
        """Everything that was asked for, in order."""

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Do something; raises `AssertionError` with what the browser says is wrong."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            answer = await self._socket.receive_json(timeout=30)
            if answer.get("method") == "Network.requestWillBeSent":
                self.addresses.append(answer["params"]["request"]["url"])
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    async def open(self, address: str) -> None:
        """Go to an address."""
        await self.call("Page.enable")
        await self.call("Network.enable")
        await self.call("Emulation.setFocusEmulationEnabled", enabled=True)
        await self.call("Page.addScriptToEvaluateOnNewDocument", source=_LISTEN)
        await self.call("Page.navigate", url=address)

    async def download_to(self, folder: Path) -> None:
        """Let files that the page hands over be kept there."""
        await self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    async def value(self, expression: str) -> Any:
        """What JavaScript makes of an expression."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    async def press(self, *keys: str) -> None:
        """Press keys: characters, or `Enter` and `Escape`."""
        for key in keys:
            text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
            common: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": _KEYS.get(key, 0)}
            await self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
            await self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    async def picture(self) -> Image.Image:
        """How the page looks."""
        answer = await self.call("Page.captureScreenshot", format="png")
        return Image.open(io.BytesIO(base64.b64decode(answer["data"]))).convert("RGB")

    async def seen(self, text: str, timeout_s: float = 30.0) -> None:
        """Wait until the terminal of the page was sent a text."""
        await wait_for(lambda: self.value(f"window.received.includes({text!r})"), timeout_s, f"{text!r}")


@contextlib.asynccontextmanager
async def browser(folder: Path, size: tuple[int, int] = (1280, 800)) -> AsyncGenerator[Page]:
    """A browser with one empty page; its profile is kept in the folder."""
    program = chromium()
    assert program is not None
    process = await asyncio.create_subprocess_exec(
        program,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-popup-blocking",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}",
        f"--window-size={size[0]},{size[1]}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "NO_PROXY": "*"},
    )
    try:
        note = folder / "DevToolsActivePort"
        await wait_for(lambda: note.exists() and note.read_text().count("\n"), 60)
        port = note.read_text().split("\n")[0]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                target = next(page for page in await answer.json() if page["type"] == "page")
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Page(socket)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
