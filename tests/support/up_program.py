"""`qgjob up` with stand-in services, as a process of its own.

python -m tests.support.up_program DIR [stubborn]
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from qgjob.errors import QgjobError
from qgjob.local.child import ChildSpec
from qgjob.local.folder import DataFolder
from qgjob.local.system import Addresses
from qgjob.local.up import UpOptions, run_up
from tests.support.services import polite, stubborn


def _services(
    _options: UpOptions, _addresses: Addresses, folder: DataFolder
) -> Sequence[Sequence[ChildSpec]]:
    notes = folder.path / "notes"
    agent = stubborn("agent", grace_s=1000) if "stubborn" in sys.argv else polite("agent", notes)
    return [polite("scheduler", notes)], [agent]


def main() -> int:
    """Run until stopped; announcements go to stdout, the sentence of an error to stderr."""
    options = UpOptions(data_dir=Path(sys.argv[1]))
    try:
        return asyncio.run(run_up(options, announce=lambda text: print(text, flush=True), services=_services))
    except QgjobError as error:
        print(error.message, file=sys.stderr)
        return int(error.exit_code)


if __name__ == "__main__":
    sys.exit(main())
