"""Runner `wdio`: WebdriverIO's tests, on the slot's Appium server when its device has one.

The user's wdio.conf is left as it is: a second file beside it, in the job's working copy, imports it and
changes what the lab decides (which server, which device, a reporter of ours).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from agent.errors import RunnerError
from agent.launch import Exit, JobDirs, LaunchSpec
from agent.reports.wdio_lines import read_wdio
from agent.runners.base import CaseCounts, Need, Runner, RunnerJob, RunResult, Verdict
from agent.runners.environment import job_environment
from agent.runners.node import common_nearest, find_in_packages, node_of
from agent.runners.testfile import find_test, find_tests
from agent.runners.toolchain import Toolchain

CONFIG_NAMES = tuple(f"wdio.conf.{ending}" for ending in ("ts", "js", "mts", "mjs", "cts", "cjs"))
_CLI = "@wdio/cli/bin/wdio.js"
_PRELOAD = Path(__file__).parent / "preload" / "wdio.mjs"
_LAB_FILE = "qgjob-lab.mjs"


class WdioRunner(Runner):
    """Runs `wdio run` for one spec or a shard's, with the nearest wdio.conf; ARGV is appended.

    On a slot with a device the first capabilities of its platform are used, pointed at the slot's Appium
    server, and an `appium` service of the configuration's own is not started. Exit code 0 has passed; any
    other has failed when cases were reported or the process crashed, and is infrastructure when not.
    """

    name: ClassVar[str] = "wdio"
    npm: ClassVar[bool] = True
    appium: ClassVar[Need] = Need.OFFERED

    def __init__(self, tools: Toolchain) -> None:
        self._tools = tools

    def check(self, bundle: Path, test: str) -> None:
        """See `Runner.check`."""
        node_of(self._tools)
        path = find_test(bundle, test)
        _config(bundle, [path])
        find_in_packages(bundle, path, self._tools, _CLI)

    def prepare(self, job: RunnerJob, dirs: JobDirs) -> LaunchSpec:
        """See `Runner.prepare`."""
        node = node_of(self._tools)
        tests = find_tests(dirs.bundle, job.files)
        config = _config(dirs.bundle, tests)
        cli = find_in_packages(dirs.bundle, tests[0], self._tools, _CLI)
        lab = config.with_name(_LAB_FILE)
        shutil.copyfile(_PRELOAD, lab)
        # TypeScript like the user's, or wdio would not load that; else a module, whatever package.json says.
        ours = config.with_name(f"qgjob.{config.name}")
        if config.suffix in {".js", ".cjs", ".cts"}:
            ours = config.with_name("qgjob.wdio.conf.mjs")
        ours.write_text(
            f"import * as user from {json.dumps('./' + config.name)};\n"
            f"import {{ inLab }} from {json.dumps('./' + _LAB_FILE)};\n"
            "export const config = inLab(user.config ?? user.default?.config ?? user.default);\n",
            "utf-8",
        )
        specs = [word for path in tests for word in ("--spec", str(path))]
        lines = _lines(dirs)
        lines.mkdir(exist_ok=True)
        reporters, argv = _reporters(job.argv)
        return LaunchSpec(
            argv=(node, str(cli), "run", str(ours), *specs, *argv),
            env={
                **job_environment(job, dirs, self._tools),
                "QGJOB_WDIO_LINES": str(lines),
                **({"QGJOB_WDIO_REPORTERS": json.dumps(reporters)} if reporters else {}),
                "WDIO_LOG_PATH": str(dirs.artifacts / "wdio.log"),
            },
            cwd=config.parent,
            reports=(lines,),
        )

    def collect(self, exit_: Exit, dirs: JobDirs) -> RunResult:
        """See `Runner.collect`."""
        report = read_wdio(_lines(dirs), root=dirs.bundle)
        cases = report.cases
        # No worker told anything, and wdio itself gave up: that would be the same on every slot.
        broken = exit_.exit_code == 1 and not cases and not report.error
        verdict, reason = Verdict.FAILED, None
        if exit_.exit_code == 0:
            verdict = Verdict.PASSED
        elif cases:
            reason = str(CaseCounts.of(cases))
        else:
            verdict = Verdict.FAILED if exit_.crashed else Verdict.INFRASTRUCTURE
            reason = f"{exit_.tell('wdio')} and reported no test"
            if report.error:
                reason += f": {report.error}"
            elif broken:
                reason = "wdio could not start: its configuration cannot be loaded, or an option is wrong"
        return RunResult(
            verdict=verdict, reason=reason, exit_code=exit_.exit_code, cases=cases, retryable=not broken
        )


def _reporters(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The user's reporters, for our configuration to name beside its own, and the other words."""
    reporters, others, taking = list[str](), list[str](), False
    for word in argv:
        option, given, value = word.partition("=")
        if option in {"--reporters", "-r"}:
            taking = True
            if given:
                reporters.append(value)
            continue
        taking = taking and not word.startswith("-")
        (reporters if taking else others).append(word)
    return reporters, others


def _lines(dirs: JobDirs) -> Path:
    return dirs.reports / "wdio"


def _config(bundle: Path, tests: Sequence[Path]) -> Path:
    config = common_nearest(bundle, tests, CONFIG_NAMES)
    if config is None:
        raise RunnerError(
            "there is no wdio.conf.ts or wdio.conf.js above the test",
            reason="not_runnable",
            retryable=False,
            hint="Put it into the test's folder or one above it, within the bundle.",
        )
    return config
