"""Programs with a mount namespace of their own, where the machine gives one to its users."""

from __future__ import annotations

import shutil
import subprocess
from typing import Final

import pytest

OWN_MOUNTS: Final = ("unshare", "--user", "--map-root-user", "--mount")


def skip_without_mounts() -> None:
    if shutil.which("unshare") is None or subprocess.run([*OWN_MOUNTS, "true"], check=False).returncode:
        pytest.skip("this machine gives no mount namespace to its users")
