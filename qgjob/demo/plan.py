"""What the demo does: its builds, and which tests CI pushes of each, when and how urgently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from qgjob.errors import QgjobError

ORG: Final = "shop"
SLOTS: Final = 4

INSTALL_SECONDS: Final = 0.8
"""What each install takes beyond unpacking and starting the build: a stand-in for a phone's 5 to 90 s."""

PUSH_EVERY_S: Final = 0.12


@dataclass(frozen=True, slots=True)
class Push:
    """One submit: some tests of a build."""

    version: str
    suite: str
    tests: tuple[str, ...]
    priority: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The whole of the demo, in the order in which CI pushes it."""

    root: Path
    """The sample: its `tests` travel as the bundle, its `builds` are uploaded."""
    versions: tuple[str, ...]
    pushes: tuple[Push, ...]
    broken: frozenset[tuple[str, str]]
    """(version, test) that must fail, since that build has a bug; everything else must pass."""

    @property
    def tests(self) -> tuple[str, ...]:
        """The tests, each once, by name."""
        return tuple(sorted({test for push in self.pushes for test in push.tests}))

    @property
    def jobs(self) -> int:
        """How many jobs it comes to."""
        return sum(len(push.tests) for push in self.pushes)

    def build(self, version: str) -> Path:
        """The folder of a build."""
        return self.root / "builds" / version


#: (version, suites, priority). Three branches at once: each build's smoke test is wanted at once,
#: the rest comes in pieces, the pieces of the three builds between each other.
_PUSHES: Final = (
    ("v1.0", ("smoke",), 9),
    ("v1.1", ("smoke",), 9),
    ("v1.2", ("smoke",), 9),
    ("v1.0", ("catalog", "account"), 4),
    ("v1.1", ("checkout",), 6),
    ("v1.2", ("checkout",), 7),
    ("v1.0", ("checkout",), 6),
    ("v1.1", ("catalog", "account"), 5),
    ("v1.2", ("catalog", "account"), 5),
)

#: v1.2 rounds the price of one piece and multiplies, instead of rounding the discount on the whole.
_BROKEN: Final = frozenset(
    {("v1.2", "tests/test_checkout_discount_rounding.py"), ("v1.2", "tests/test_checkout_receipt.py")}
)


def shop_plan() -> Plan:
    """The plan for the sample shop; raises QgjobError when the sample is not there."""
    root = samples_folder() / "shop"
    pushes = tuple(
        Push(version, "+".join(suites), tuple(_tests(root, suites)), priority)
        for version, suites, priority in _PUSHES
    )
    versions = tuple(dict.fromkeys(push.version for push in pushes))
    return Plan(root=root, versions=versions, pushes=pushes, broken=_BROKEN)


def samples_folder() -> Path:
    """The project's samples: inside the package in an installation, else in the checkout.

    Raises QgjobError when they are in neither place.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "samples", package.parent / "samples"):
        if (folder / "shop" / "builds").is_dir():
            return folder
    raise QgjobError("The sample tests of the demo were not found beside qgjob.", hint="Install qgjob again.")


def _tests(root: Path, suites: Sequence[str]) -> list[str]:
    return [
        path.relative_to(root).as_posix()
        for suite in suites
        for path in sorted((root / "tests").glob(f"test_{suite}*.py"))
    ]
