"""Simulated phones by hand: `python -m tests.support.adbsim --count 3`, then `adb connect` to each."""

from __future__ import annotations

import argparse
import asyncio

from tests.support.adbsim.link import PhoneLink
from tests.support.adbsim.phone import Phone


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1)
    count = parser.parse_args().count
    links = [
        await PhoneLink(Phone(model=f"Sim {n}", release="14" if n % 2 else "13")).plug() for n in range(count)
    ]
    print(" ".join(link.serial for link in links), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
