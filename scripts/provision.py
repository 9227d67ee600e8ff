"""Gets what the tests of real parts need: `scripts/provision.py [NAME …]`; `--list` shows what is there.

What is there is left alone, so a second run takes no time. As root, or in CI (the variable CI is set), what
is missing is installed; else the command that installs it is shown, and the tests that need it are skipped.
In CI nothing may be missing in the end.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
APT = ("apt-get", "-o", "DPkg::Lock::Timeout=120")


@dataclass(frozen=True)
class Part:
    """Something that tests need. `installs` are Debian packages, or a function that does it."""

    name: str
    what_for: str
    found: Callable[[], bool]
    installs: tuple[str, ...] | Callable[[], None]

    @property
    def command(self) -> str:
        """What a person runs."""
        if callable(self.installs):
            return f"python scripts/provision.py {self.name}"
        return f"sudo apt-get install -y --no-install-recommends {' '.join(self.installs)}"


def program(*names: str) -> Callable[[], bool]:
    """Whether one of these programs is on PATH."""
    return lambda: any(shutil.which(name) for name in names)


def npm_packages_there() -> bool:
    """Whether the packages of tests/node are installed as its lock file says."""
    lock, installed = ROOT / "tests/node/package-lock.json", ROOT / ".venv/node"
    copy = installed / "package-lock.json"
    drivers = [root / "lab-driver/index.js" for root in (lock.parent, installed)]
    return (
        (installed / ".installed").is_file()
        and copy.read_bytes() == lock.read_bytes()
        and drivers[0].read_bytes() == drivers[1].read_bytes()
    )


def install_npm_packages() -> None:
    """With the node of the development packages; nothing of the machine is changed."""
    subprocess.run(["sh", str(ROOT / "scripts/test-deps.sh")], check=False)


PARTS = (
    Part("adb", "the driver for Android devices", program("adb"), ("adb",)),
    Part(
        "chromium",
        "the tests of runner playwright with a browser, and of the dashboard in one",
        program("chromium", "chromium-browser", "google-chrome"),
        ("chromium",),
    ),
    Part("tmux", "the dashboard in a terminal", program("tmux"), ("tmux",)),
    Part("zsh", "the tests of shell completion", program("zsh"), ("zsh",)),
    Part("fish", "the tests of shell completion", program("fish"), ("fish",)),
    Part("openssl", "the tests of a server with TLS", program("openssl"), ("openssl",)),
    Part("mandoc", "the check of the manual page", program("mandoc"), ("mandoc",)),
    Part(
        "npm",
        "the tests of the JavaScript runners and of Appium",
        npm_packages_there,
        install_npm_packages,
    ),
)


def main() -> int:
    """Provide all parts, or the named ones; 1 when something is missing that may not be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(part.name for part in PARTS))
    parser.add_argument("--list", action="store_true", help="show what is there, install nothing")
    given = parser.parse_args()
    unknown = set(given.names) - {part.name for part in PARTS}
    if unknown:
        parser.error(f"there is no part {min(unknown)}")
    parts = [part for part in PARTS if not given.names or part.name in given.names]
    if given.list:
        for part in parts:
            print(f"{part.name:12} {'there' if part.found() else f'missing: {part.command}'}")
        return 0
    provide([part for part in parts if not part.found()])
    missing = [part for part in parts if not part.found()]
    for part in missing:
        print(
            f"SKIPPED: {part.name} is missing, for {part.what_for}. Install it: {part.command}",
            file=sys.stderr,
        )
    return int(bool(missing) and in_ci())


def provide(parts: list[Part]) -> None:
    """Install what we may; what fails is seen afterwards."""
    packages = [
        name for part in parts if not callable(part.installs) for name in part.installs if may_install()
    ]
    if packages:
        print(f"Installing {', '.join(packages)} ...", file=sys.stderr)
        install = (*APT, "install", "-qq", "-y", "--no-install-recommends", *packages)
        if not run(install):
            run((*APT, "update", "-qq"))
            run(install)
    for part in parts:
        if callable(part.installs):
            part.installs()


def in_ci() -> bool:
    """Whether a missing part is an error."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false", "no"}


def may_install() -> bool:
    """Whether Debian packages may be installed on this machine."""
    return shutil.which("apt-get") is not None and (os.geteuid() == 0 or in_ci())


def run(command: tuple[str, ...]) -> bool:
    """Run it, with sudo where we are not root, its output shown only when it fails."""
    if os.geteuid() != 0:
        command = ("sudo", "-n", *command)
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"{' '.join(command)}: {error}", file=sys.stderr)
        return False
    if done.returncode != 0:
        print(done.stdout[-2000:] + done.stderr[-2000:], file=sys.stderr)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
