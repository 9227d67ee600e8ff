"""What the lab's part of a WebdriverIO configuration writes, as the worker's Node.js runs it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from agent.reports.wdio_lines import read_wdio
from agent.runners import wdio

WORKER = """
const { inLab } = await import(process.env.PRELOAD);
const { reporters } = inLab({ capabilities: JSON.parse(process.env.CAPABILITIES) });
const told = new (reporters.at(-1)[0])();
told.emit('runner:start', { cid: process.env.CID, capabilities: {} });
told.emit('test:pass', { title: 'buys', parent: 'cart', file: '/x/cart.js' });
"""
CHROME = {"browserName": "chrome"}
FIREFOX = {"alwaysMatch": {"browserName": "firefox"}}


@pytest.mark.parametrize(
    ("capabilities", "cid", "suite"),
    [
        ([CHROME], "0-0", "cart"),
        ([CHROME, FIREFOX], "1-0", "[firefox] cart"),
        ([CHROME, CHROME, FIREFOX], "1-3", "[1] cart"),
        ([CHROME, {}], "1-0", "[1] cart"),
        ([{"platformName": "iOS"}, CHROME], "0-0", "[iOS] cart"),
        ({"one": {"capabilities": CHROME}}, "0-0", "cart"),
    ],
)
def test_a_browsers_cases_are_named_by_what_is_configured_whichever_workers_start(
    tmp_path: Path,
    node: Path,
    capabilities: Sequence[Mapping[str, object]] | Mapping[str, object],
    cid: str,
    suite: str,
):
    preload = Path(wdio.__file__).with_name("preload") / "wdio.mjs"
    env = {
        "PRELOAD": preload.as_uri(),
        "CAPABILITIES": json.dumps(capabilities),
        "CID": cid,
        "QGJOB_WDIO_LINES": str(tmp_path),
    }
    subprocess.run([node, "--input-type=module", "-e", WORKER], env=env, check=True, timeout=30)
    assert [case.class_name for case in read_wdio(tmp_path).cases] == [suite]
