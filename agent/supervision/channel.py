"""The agent's end of the control socket: frames out (with file descriptors), frames in, on the event loop."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence

from agent.supervision.frames import Frame, FrameError, FrameReader, pack


class ControlChannel:
    """Never blocks: what the socket does not take at once is sent when it can be."""

    def __init__(
        self, sock: socket.socket, on_frame: Callable[[Frame], None], on_closed: Callable[[], None]
    ) -> None:
        self._sock = sock
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._waiting: deque[tuple[bytes, Sequence[int]]] = deque()
        self._open = True
        sock.setblocking(False)
        self._loop.add_reader(sock, self._receive)

    def send(self, frame: Frame, descriptors: Sequence[int] = ()) -> None:
        """Queue a frame. The descriptors must stay open until it is answered. Ignored once closed."""
        if self._open:
            self._waiting.append((pack(frame), descriptors))
            if len(self._waiting) == 1:
                self._flush()

    def close(self) -> None:
        """Close the socket; the supervisor takes that for the agent's end."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            self._sock.close()

    def _flush(self) -> None:
        try:
            while self._waiting:
                data, descriptors = self._waiting[0]
                sent = (
                    socket.send_fds(self._sock, [data], descriptors) if descriptors else self._sock.send(data)
                )
                if sent < len(data):
                    self._waiting[0] = (data[sent:], ())
                else:
                    self._waiting.popleft()
        except BlockingIOError:
            self._loop.add_writer(self._sock, self._flush)
        except OSError:
            self._lost()
        else:
            self._loop.remove_writer(self._sock)

    def _receive(self) -> None:
        try:
            data = self._sock.recv(65536)
            frames = self._reader.feed(data)
        except BlockingIOError:
            return
        except (OSError, FrameError):
            data, frames = b"", []
        for frame in frames:
            self._on_frame(frame)
        if not data:
            self._lost()

    def _lost(self) -> None:
        if self._open:
            self.close()
            self._on_closed()
