"""A phone's state, its shell and package manager, and the switches for what goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import io
import shlex
import zipfile
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.support.adbsim.apk import package_of

if TYPE_CHECKING:
    from tests.support.adbsim.link import Stream

PNG = bytes.fromhex("89504e470d0a1a0a") + b"a picture of sorts"
_STDOUT, _EXIT = 1, 3


class Installed(NamedTuple):
    version_code: int
    signature: bytes
    size: int
    updated: datetime


@dataclass
class Phone:
    """Well by default; every switch may be turned at any time."""

    model: str = "Pixel 7"
    release: str = "14"
    sdk: str = "34"
    abi: str = "arm64-v8a"
    emulator: bool = False

    battery: int = 88
    temperature_tenths: int = 271
    free_kib: int = 8 * 2**20
    booted: bool = True
    nonsense: bool = False
    """Every answer is garbage."""
    hangs: bool = False
    """Commands are taken and never answered."""
    refusals: deque[str] = field(default_factory=deque[str])
    """What the next installs say instead of `Success`, one each."""
    cut_install_after: int | None = None
    """Bytes of the next install after which the link breaks."""
    install_stalls: bool = False
    """The next installs never come to an end."""
    install_lies: bool = False
    """Installs say `Success` and do nothing."""

    packages: dict[str, Installed] = field(default_factory=dict[str, Installed])
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    log_lines: list[str] = field(default_factory=lambda: ["11-24 09:00:01.000  1  1 I sim: hello"])
    calls: Counter[str] = field(default_factory=Counter[str])
    """How often each program was run; `install`, `uninstall` and `reboot` by these names."""
    stopped: list[str] = field(default_factory=list[str])
    """Packages that were force-stopped, in order."""
    reversed_ports: set[str] = field(default_factory=set[str])
    ports: dict[int, int] = field(default_factory=dict[int, int])
    """TCP ports of the phone, and the ports of this machine that stand in for them."""
    programs: dict[str, Callable[[list[str]], str]] = field(
        default_factory=dict[str, Callable[[list[str]], str]]
    )
    """More programs for its shell, by name: arguments in, output out."""
    on_reboot: Callable[[], None] = lambda: None
    clock: datetime = field(default_factory=lambda: datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC))
    authorized: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.authorized.set()

    # -- what adb asks for --

    def knows(self, service: str) -> bool:
        name, _, rest = service.partition(":")
        if name == "tcp":
            return rest.isdecimal() and int(rest) in self.ports
        return name.split(",")[0] in {"shell", "exec", "sync", "reboot", "reverse"}

    async def serve(self, service: str, stream: Stream) -> None:
        name, _, command = service.partition(":")
        if name == "tcp":
            await self._tunnel(self.ports[int(command)], stream)
            return
        if self.hangs and name != "reboot":
            await asyncio.Event().wait()
        match name.split(",")[0]:
            case "reboot":
                self.calls["reboot"] += 1
                self.hangs = False
                self.on_reboot()
            case "reverse":
                await self._reverse(command, stream)
            case "sync":
                await self._take_file(stream)
            case "exec":
                await stream.write(await self._exec(command, stream))
            case _:
                v2 = "v2" in name.split(",")
                code, output = self.shell(command)
                if v2:
                    await stream.write(_packet(_STDOUT, output) + _packet(_EXIT, bytes([code])))
                else:
                    await stream.write(output)

    async def _exec(self, command: str, stream: Stream) -> bytes:
        words = shlex.split(command)
        if words[:3] == ["cmd", "package", "install"]:
            return await self._install_streamed(words, stream)
        return self.shell(command)[1]

    async def _install_streamed(self, words: list[str], stream: Stream) -> bytes:
        self.calls["install"] += 1
        size = int(words[words.index("-S") + 1])
        data = bytearray()
        while len(data) < size:
            piece = await stream.read()
            if not piece:
                return b""  # the other side went away: nothing is installed
            data += piece
            if self.cut_install_after is not None and len(data) >= self.cut_install_after:
                self.cut_install_after = None
                stream.cut()
        if self.install_stalls:
            await asyncio.Event().wait()
        return (self.install(bytes(data)) + "\n").encode()

    def install(self, data: bytes) -> str:
        """What the package manager says to an APK."""
        if self.refusals:
            return f"Failure [{self.refusals.popleft()}]"
        if self.install_lies:
            return "Success"
        try:
            package, version, signature = package_of(data)
        except (ValueError, zipfile.BadZipFile, KeyError):
            return "Failure [INSTALL_PARSE_FAILED_NOT_APK: Failed to parse /data/app/base.apk]"
        there = self.packages.get(package)
        if there is not None and there.signature != signature:
            return (
                f"Failure [INSTALL_FAILED_UPDATE_INCOMPATIBLE: Existing package {package} signatures do not "
                "match newer version; ignoring!]"
            )
        if there is not None and there.version_code > version:
            return (
                "Failure [INSTALL_FAILED_VERSION_DOWNGRADE: Downgrade detected: Update version code "
                f"{version} is older than current {there.version_code}]"
            )
        size_kib = len(data) // 1024 + 1
        if size_kib > self.free_kib:
            return "Failure [INSTALL_FAILED_INSUFFICIENT_STORAGE: Failed to override installation location]"
        self.clock += timedelta(seconds=1)
        self.free_kib -= size_kib - (there.size if there else 0)
        self.packages[package] = Installed(version, signature, size_kib, self.clock)
        return "Success"

    def uninstall(self, package: str) -> str:
        self.calls["uninstall"] += 1
        there = self.packages.pop(package, None)
        if there is None:
            return "Failure [DELETE_FAILED_INTERNAL_ERROR]"
        self.free_kib += there.size
        return "Success"

    async def _take_file(self, stream: Stream) -> None:
        buffer = bytearray()
        while True:
            head = await stream.exactly(buffer, 8)
            kind, length = head[:4], int.from_bytes(head[4:], "little")
            if kind == b"QUIT":
                return
            if kind != b"SEND":
                await stream.write(b"FAIL" + (7).to_bytes(4, "little") + b"not now")
                return
            path = (await stream.exactly(buffer, length)).decode().rpartition(",")[0]
            data = bytearray()
            while (head := await stream.exactly(buffer, 8))[:4] == b"DATA":
                data += await stream.exactly(buffer, int.from_bytes(head[4:], "little"))
            self.files[path] = bytes(data)
            await stream.write(b"OKAY" + bytes(4))

    async def _reverse(self, command: str, stream: Stream) -> None:
        if command == "killforward-all":
            self.reversed_ports.clear()
            await stream.write(b"OKAY")
        elif command.startswith("forward:"):
            self.reversed_ports.add(command)
            await stream.write(b"OKAY")
        else:
            await stream.write(b"OKAY0000")

    async def _tunnel(self, port: int, stream: Stream) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def inwards() -> None:
            while piece := await stream.read():
                writer.write(piece)
                await writer.drain()
            writer.close()

        task = asyncio.create_task(inwards())
        try:
            while piece := await reader.read(65536):
                await stream.write(piece)
        finally:
            task.cancel()
            writer.close()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    # -- its shell --

    def shell(self, line: str) -> tuple[int, bytes]:
        """Run a line of commands joined by `;`, `||` and `&&`."""
        if self.nonsense:
            return 0, b"\x00\xff\xfe%%% \x1b[31m" * 50
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&")
        lexer.whitespace_split = True
        lexer.commenters = ""
        code, output, words, runs = 0, io.BytesIO(), list[str](), True
        for word in [*lexer, ";"]:
            if word not in {";", "||", "&&"}:
                words.append(word)
                continue
            if words and runs:
                code, text = self._program(words)
                output.write(text)
            words = []
            runs = word == ";" or (code == 0) == (word == "&&")
        return code, output.getvalue()

    def _program(self, words: list[str]) -> tuple[int, bytes]:
        name, arguments = words[0], words[1:]
        self.calls[name] += 1
        program: Any = self.programs.get(name) or getattr(self, f"_{name}", None)
        if program is None:
            return 127, f"/system/bin/sh: {name}: inaccessible or not found\n".encode()
        text = program(arguments)
        if text is None:
            return 1, b""
        return 0, text if isinstance(text, bytes) else text.encode()

    def _echo(self, arguments: list[str]) -> str:
        return " ".join(arguments).replace("$?", "0") + "\n"

    def _getprop(self, arguments: list[str]) -> str:
        values = {
            "ro.build.version.release": self.release,
            "ro.build.version.sdk": self.sdk,
            "ro.product.manufacturer": "Google",
            "ro.product.model": self.model,
            "ro.product.cpu.abi": self.abi,
            "ro.kernel.qemu": "1" if self.emulator else "",
            "sys.boot_completed": "1" if self.booted else "",
        }
        return values.get(arguments[0] if arguments else "", "") + "\n"

    def _date(self, arguments: list[str]) -> str:
        return self.clock.strftime(arguments[0].lstrip("+")) + "\n" if arguments else f"{self.clock}\n"

    def _df(self, _arguments: list[str]) -> str:
        total = 64 * 2**20
        return (
            "Filesystem     1K-blocks     Used Available Use% Mounted on\n"
            f"/dev/block/dm-8 {total} {total - self.free_kib} {self.free_kib}  42% /data\n"
        )

    def _dumpsys(self, arguments: list[str]) -> str:
        if arguments[:1] == ["battery"]:
            return (
                "Current Battery Service state:\n  AC powered: false\n  USB powered: true\n  status: 2\n"
                f"  health: 2\n  present: true\n  level: {self.battery}\n  scale: 100\n  voltage: 4200\n"
                f"  temperature: {self.temperature_tenths}\n  technology: Li-ion\n"
            )
        if arguments[:1] == ["package"] and len(arguments) > 1:
            return self._dump_package(arguments[1])
        return ""

    def _dump_package(self, package: str) -> str:
        there = self.packages.get(package)
        if there is None:
            return f"\nDexopt state:\n  Unable to find package: {package}\n"
        return (
            f"Packages:\n  Package [{package}] (7b0f1c2):\n    userId=10191\n"
            f"    versionCode={there.version_code} minSdk=24 targetSdk=34\n    versionName=1.0\n"
            f"    firstInstallTime=2026-11-24 08:00:00\n"
            f"    lastUpdateTime={there.updated:%Y-%m-%d %H:%M:%S}\n"
        )

    def _pm(self, arguments: list[str]) -> str:
        if arguments[:1] == ["uninstall"]:
            return self.uninstall(arguments[-1]) + "\n"
        if arguments[:1] == ["install"]:
            self.calls["install"] += 1
            return self.install(self.files.get(arguments[-1], b"")) + "\n"
        if arguments[:2] == ["list", "packages"]:
            return "".join(f"package:{name}\n" for name in self.packages)
        return ""

    def _cmd(self, arguments: list[str]) -> str:
        return self._pm(arguments[1:]) if arguments[:1] == ["package"] else ""

    def _am(self, arguments: list[str]) -> str:
        if arguments[:1] == ["force-stop"]:
            self.stopped.append(arguments[-1])
        return ""

    def _rm(self, arguments: list[str]) -> str:
        self.files.pop(arguments[-1], None)
        return ""

    def _screencap(self, _arguments: list[str]) -> bytes:
        return PNG

    def _logcat(self, _arguments: list[str]) -> str:
        return "".join(f"{line}\n" for line in self.log_lines)


def _packet(kind: int, data: bytes) -> bytes:
    return bytes([kind]) + len(data).to_bytes(4, "little") + data
