"""Runners for devices, without running them: what is detected, asked for, and started."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from agent.appium.capabilities import device_capabilities, job_capabilities
from agent.drivers.base import RunningApp
from agent.errors import JobError, RunnerError
from agent.launch import Exit, JobDirs
from agent.npm.packages import NpmPackages, NpmSettings
from agent.runners.appwright import AppwrightRunner
from agent.runners.base import AppiumSession, CaseStatus, RunnerJob, Verdict
from agent.runners.command import CommandRunner
from agent.runners.detect import detect_runner
from agent.runners.environment import job_environment
from agent.runners.kit import Kit
from agent.runners.maestro import MaestroRunner
from agent.runners.registry import Runners
from agent.runners.toolchain import Toolchain
from agent.runners.wdio import WdioRunner
from tests.support.runnerjobs import add as add_file

PHONE = RunningApp(
    package="com.acme",
    env={"QGJOB_PLATFORM": "android", "QGJOB_UDID": "R58", "ANDROID_ADB_SERVER_PORT": "5999"},
)
TOOLS = Toolchain(python="/py", node="/node")


def job(test: str, *argv: str, app: RunningApp = PHONE, **env: str) -> RunnerJob:
    capabilities = device_capabilities(app)
    session = (
        AppiumSession(url="http://127.0.0.1:7", capabilities=job_capabilities(capabilities, app))
        if capabilities
        else None
    )
    return RunnerJob(
        job_id="j",
        run_id="r",
        org_id="o",
        app_version_id="v",
        attempt=1,
        test=test,
        slot="s",
        device="d",
        argv=argv,
        env=env,
        app_package=app.package,
        device_env=app.env,
        appium=session,
    )


def add(dirs: JobDirs, files: dict[str, str]) -> None:
    for name, text in files.items():
        add_file(dirs, name, text)


FLOW = "# buys\n\nappId: com.acme\ntags: [a]\n---\n- launchApp\n"


@pytest.mark.parametrize(
    ("files", "test", "runner"),
    [
        ({"a.spec.ts": "", "appwright.config.ts": ""}, "a.spec.ts", "appwright"),
        (
            {"e/a.test.js": "", "package.json": '{"devDependencies": {"appwright": "1"}}'},
            "e/a.test.js",
            "appwright",
        ),
        # AppWright comes with Playwright; the nearest folder decides.
        (
            {"e/a.spec.ts": "", "appwright.config.ts": "", "e/playwright.config.ts": ""},
            "e/a.spec.ts",
            "playwright",
        ),
        ({"a.spec.ts": "", "appwright.config.ts": "", "playwright.config.ts": ""}, "a.spec.ts", "appwright"),
        ({"a.js": "", "appwright.config.ts": ""}, "a.js", "command"),
        ({"e/login.e2e.ts": "", "wdio.conf.ts": ""}, "e/login.e2e.ts", "wdio"),
        (
            {"a.spec.js": "", "package.json": '{"devDependencies": {"@wdio/cli": "9"}}'},
            "a.spec.js",
            "command",
        ),
        ({"f.yaml": FLOW}, "f.yaml", "maestro"),
        ({"f.yml": "url: https://x\n---\n- launchApp\n"}, "f.yml", "maestro"),
        ({"f.yaml": "services:\n  appId: x\n---\n"}, "f.yaml", "command"),
        ({"test_a.py": "from appium import webdriver"}, "test_a.py", "appium-pytest"),
        ({"t/test_a.py": "", "conftest.py": "import appium.webdriver"}, "t/test_a.py", "appium-pytest"),
        (
            {"test_a.py": "", "requirements-dev.txt": "pytest\nAppium-Python-Client==5\n"},
            "test_a.py",
            "appium-pytest",
        ),
        (
            {"test_a.py": "", "pyproject.toml": 'dependencies = [\n  "appium_python_client>=4"]'},
            "test_a.py",
            "appium-pytest",
        ),
        ({"test_a.py": "import appiumlike", "conftest.py": ""}, "test_a.py", "pytest"),
        ({"a.py": "import appium"}, "a.py", "command"),
    ],
)
def test_detection(dirs: JobDirs, files: dict[str, str], test: str, runner: str):
    add(dirs, files)
    assert detect_runner(dirs.bundle, test) == runner


def test_capabilities_name_the_device_and_the_app():
    device = device_capabilities(PHONE)
    assert device is not None
    assert device == {
        "platformName": "Android",
        "appium:automationName": "UiAutomator2",
        "appium:udid": "R58",
        "appium:adbPort": 5999,
        "appium:newCommandTimeout": 120,
    }
    assert job_capabilities(device, PHONE) == {
        **device,
        "appium:noReset": True,
        "appium:appPackage": "com.acme",
    }
    mac = RunningApp(package="com.acme", env={"QGJOB_PLATFORM": "ios", "QGJOB_UDID": "X"})
    device = device_capabilities(mac)
    assert device is not None
    assert (device["platformName"], device["appium:automationName"]) == ("iOS", "XCUITest")
    assert job_capabilities(device, mac)["appium:bundleId"] == "com.acme"


def test_a_driver_may_have_capabilities_of_its_own():
    env = {"QGJOB_APPIUM_CAPS": '{"platformName": "Tizen", "appium:automationName": "TizenTV"}'}
    device = device_capabilities(RunningApp(env=env))
    assert device is not None
    assert device["appium:automationName"] == "TizenTV"
    assert device_capabilities(RunningApp()) is None
    assert device_capabilities(RunningApp(env={"QGJOB_UDID": "x"})) is None
    for text in ("{", "[]", "3"):
        with pytest.raises(JobError, match="no JSON object"):
            device_capabilities(RunningApp(env={"QGJOB_APPIUM_CAPS": text}))


def test_the_environment_leads_to_device_and_server(dirs: JobDirs):
    env = job_environment(job("t", QGJOB_APPIUM_URL="forged", ANDROID_ADB_SERVER_PORT="1"), dirs, TOOLS)
    assert env["QGJOB_APPIUM_URL"] == "http://127.0.0.1:7"
    assert env["QGJOB_UDID"] == "R58"
    assert env["QGJOB_APP_PACKAGE"] == "com.acme"
    assert env["ANDROID_ADB_SERVER_PORT"] == "5999"
    assert json.loads(env["QGJOB_APPIUM_CAPS"])["appium:udid"] == "R58"
    assert "QGJOB_APPIUM_URL" not in job_environment(job("t", app=RunningApp()), dirs, TOOLS)


def test_appwright_is_started_with_the_test_runner_that_it_loads(dirs: JobDirs):
    add(
        dirs,
        {
            "e/a.spec.ts": "",
            "e/appwright.config.ts": "",
            "node_modules/appwright/package.json": "{}",
            "node_modules/appwright/node_modules/@playwright/test/cli.js": "",
            "node_modules/@playwright/test/cli.js": "",
        },
    )
    runner = AppwrightRunner(TOOLS)
    runner.check(dirs.bundle, "e/a.spec.ts")
    launch = runner.prepare(job("e/a.spec.ts", "--project", "x", NODE_OPTIONS="--enable-source-maps"), dirs)
    assert launch.argv[1].endswith("appwright/node_modules/@playwright/test/cli.js")
    assert launch.argv[-4:] == (
        "--workers=1",
        f"--config={dirs.bundle}/e/appwright.config.ts",
        "--project",
        "x",
    )
    assert launch.cwd == dirs.bundle / "e"
    options = launch.env["NODE_OPTIONS"]
    assert options.startswith("--enable-source-maps --require ")
    assert Path(options.split('"')[1]).is_file()
    assert "NODE_OPTIONS" not in runner.prepare(job("e/a.spec.ts", app=RunningApp()), dirs).env


@pytest.mark.parametrize("kind", [AppwrightRunner, WdioRunner])
@pytest.mark.parametrize(
    ("lock", "hint"),
    [
        (None, "Commit a package-lock.json"),
        ("yarn.lock", "not yarn.lock"),
        ("pnpm-lock.yaml", "not pnpm-lock.yaml"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_done(
    dirs: JobDirs, kind: type[AppwrightRunner | WdioRunner], lock: str | None, hint: str
):
    add(dirs, {"a.spec.ts": "", "wdio.conf.ts": "", **({lock: ""} if lock else {})})
    with pytest.raises(RunnerError, match="is in no node_modules above the test") as caught:
        kind(TOOLS).check(dirs.bundle, "a.spec.ts")
    assert (caught.value.reason, caught.value.retryable) == ("tool_missing", True)
    assert hint in (caught.value.hint or "")
    with pytest.raises(RunnerError, match=r"no Node\.js"):
        kind(Toolchain(python="/py")).check(dirs.bundle, "a.spec.ts")


def test_wdio_leaves_the_users_configuration_alone(dirs: JobDirs):
    add(
        dirs,
        {"e/a.ts": "", "wdio.conf.ts": "export const config = {};", "node_modules/@wdio/cli/bin/wdio.js": ""},
    )
    launch = WdioRunner(TOOLS).prepare(job("e/a.ts", "--bail", "1"), dirs)
    assert launch.argv[2:] == (
        "run",
        f"{dirs.bundle}/qgjob.wdio.conf.ts",
        "--spec",
        f"{dirs.bundle}/e/a.ts",
        "--bail",
        "1",
    )
    assert (dirs.bundle / "wdio.conf.ts").read_text() == "export const config = {};"
    (dirs.bundle / "wdio.conf.ts").unlink()
    with pytest.raises(RunnerError, match=r"no wdio\.conf\.ts"):
        WdioRunner(TOOLS).check(dirs.bundle, "e/a.ts")


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("wdio.conf.ts", "qgjob.wdio.conf.ts"),
        ("wdio.conf.js", "qgjob.wdio.conf.mjs"),
        ("wdio.conf.cjs", "qgjob.wdio.conf.mjs"),
        ("wdio.conf.mjs", "qgjob.wdio.conf.mjs"),
    ],
)
def test_what_imports_a_wdio_conf_is_a_module_whatever_package_json_says(dirs: JobDirs, name: str, ours: str):
    add(dirs, {"a.js": "", name: "", "node_modules/@wdio/cli/bin/wdio.js": ""})
    launch = WdioRunner(TOOLS).prepare(job("a.js"), dirs)
    assert launch.argv[3] == f"{dirs.bundle}/{ours}"
    assert f'from "./{name}"' in (dirs.bundle / ours).read_text()


@pytest.mark.parametrize(
    ("argv", "reporters", "others"),
    [
        (("--bail", "1"), None, ["--bail", "1"]),
        (("--reporters", "dot", "spec", "--bail", "1"), ["dot", "spec"], ["--bail", "1"]),
        (("--reporters=dot", "-r", "spec"), ["dot", "spec"], []),
        (("-r=dot", "--bail", "1"), ["dot"], ["--bail", "1"]),
        (("--reporters=dot", "spec", "--bail", "1"), ["dot", "spec"], ["--bail", "1"]),
    ],
)
def test_wdios_reporters_go_beside_ours(
    dirs: JobDirs, argv: tuple[str, ...], reporters: list[str] | None, others: list[str]
):
    add(dirs, {"a.js": "", "wdio.conf.js": "", "node_modules/@wdio/cli/bin/wdio.js": ""})
    launch = WdioRunner(TOOLS).prepare(job("a.js", *argv), dirs)
    assert json.loads(launch.env.get("QGJOB_WDIO_REPORTERS", "null")) == reporters
    assert list(launch.argv[launch.argv.index("--spec") + 2 :]) == others


def test_a_wdio_conf_that_cannot_be_loaded_is_not_tried_elsewhere(dirs: JobDirs):
    runner = WdioRunner(TOOLS)
    broken = runner.collect(Exit(code=1, signal=None, duration_s=1.0), dirs)
    assert (broken.verdict, broken.retryable) == (Verdict.INFRASTRUCTURE, False)
    assert "configuration cannot be loaded" in (broken.reason or "")
    killed = runner.collect(Exit(code=None, signal=9, duration_s=1.0), dirs)
    assert killed.retryable
    (dirs.reports / "wdio").mkdir()
    line = json.dumps({"at": 1, "event": "runner:end", "message": "no session: the device is gone"})
    (dirs.reports / "wdio" / "worker.jsonl").write_text(line)
    lost = runner.collect(Exit(code=1, signal=None, duration_s=1.0), dirs)
    assert (lost.verdict, lost.retryable) == (Verdict.INFRASTRUCTURE, True)
    assert "the device is gone" in (lost.reason or "")


async def test_uiautomator2_without_an_sdk_is_the_machines_fault(tmp_path: Path):
    tools = Toolchain(python="/py", node="/node")
    packages = NpmPackages(tmp_path / "npm", tools, NpmSettings(environment={}), mark="test:")
    kit = Kit(tools, packages, tmp_path / "appium", "test:")
    app = RunningApp(env={"QGJOB_PLATFORM": "android", "QGJOB_UDID": "R58M"})
    with pytest.raises(RunnerError, match="no ANDROID_HOME") as caught:
        await kit.appium(WdioRunner(tools), app)
    assert (caught.value.reason, caught.value.retryable) == ("tool_missing", True)


# A stub: it proves the shape of our call and that the report is read, nothing about Maestro itself.
MAESTRO = """#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in
    --output) report=$2; shift;;
    --device) device=$2; shift;;
    -e) vars="$vars $2"; shift;;
    *) flow=$1;;
  esac
  shift
done
cat > "$report" <<END
<?xml version='1.0' encoding='UTF-8'?>
<testsuites><testsuite name="Test Suite" device="$device" tests="1" failures="1" time="3">
<testcase id="buys" name="buys" classname="buys" time="2" status="ERROR">
<failure>Assertion is false: $flow on $device with$vars</failure></testcase></testsuite></testsuites>
END
exit 1
"""


def test_the_shape_of_maestro_by_a_stub(dirs: JobDirs, tmp_path: Path):
    stub = tmp_path / "maestro"
    stub.write_text(MAESTRO)
    stub.chmod(stub.stat().st_mode | stat.S_IXUSR)
    add(dirs, {"flows/buy.yaml": FLOW})
    runner = MaestroRunner(Toolchain(python="/py", maestro=str(stub)))
    runner.check(dirs.bundle, "flows/buy.yaml")
    launch = runner.prepare(job("flows/buy.yaml", USER="ada"), dirs)
    done = subprocess.run(
        launch.argv, cwd=launch.cwd, env={**launch.env, "PATH": "/usr/bin:/bin"}, check=False
    )
    result = runner.collect(Exit(code=done.returncode, signal=None, duration_s=1.0), dirs)
    assert (result.verdict, result.reason) == (Verdict.FAILED, "1 failed, 0 passed")
    (case,) = result.cases
    assert (case.name, case.status, case.duration_s) == ("buys", CaseStatus.FAILED, 2.0)
    assert case.message == "Assertion is false: ./flows/buy.yaml on R58 with APP_ID=com.acme USER=ada"


def test_maestro_says_what_it_needs(dirs: JobDirs):
    add(dirs, {"f.yaml": FLOW})
    with pytest.raises(RunnerError, match="no Maestro"):
        MaestroRunner(TOOLS).check(dirs.bundle, "f.yaml")
    runner = MaestroRunner(Toolchain(python="/py", maestro="/maestro"))
    with pytest.raises(RunnerError, match="maestro needs a device"):
        runner.prepare(job("f.yaml", app=RunningApp()), dirs)
    crashed = runner.collect(Exit(code=1, signal=None, duration_s=1.0), dirs)
    assert (crashed.verdict, crashed.reason) == (
        Verdict.INFRASTRUCTURE,
        "maestro ended with exit code 1 and reported no flow",
    )
    java = runner.collect(Exit(code=None, signal=signal.SIGSEGV, duration_s=1.0), dirs)
    assert java.verdict is Verdict.INFRASTRUCTURE, "a flow cannot bring Maestro's JVM down"


@pytest.mark.parametrize(
    ("runner", "labels", "missing"),
    [
        ("appium-pytest", frozenset[str](), True),
        ("wdio", frozenset({"android"}), True),
        ("wdio", frozenset({"process"}), False),
        ("pytest", frozenset({"android"}), False),
    ],
)
async def test_appium_is_missed_before_the_build_is_installed(
    dirs: JobDirs, tmp_path: Path, runner: str, labels: frozenset[str], *, missing: bool
):
    add(dirs, {"test_a.py": "", "wdio.conf.js": "", "node_modules/@wdio/cli/bin/wdio.js": ""})
    tools = Toolchain(python="/py", pytest_python="/py", node="/node")
    packages = NpmPackages(tmp_path / "npm", tools, NpmSettings(environment={}), mark="test:")
    kit = Kit(tools, packages, tmp_path / "appium", "test:")
    found = Runners.load(tools, {}).find(runner, dirs.bundle, "test_a.py")

    async def equip() -> None:
        async with kit.equipped(found, dirs.bundle, "test_a.py", org_id="o", labels=labels, say=print):
            pass

    if not missing:
        await equip()
        return
    with pytest.raises(RunnerError, match="this machine has no Appium") as caught:
        await equip()
    assert caught.value.reason == "tool_missing"
    assert "npm install -g appium" in (caught.value.hint or "")


class LabsRunner(CommandRunner):
    name = "labs"


def test_an_installed_distribution_adds_a_runner(monkeypatch: pytest.MonkeyPatch):
    entry = metadata.EntryPoint("labs", f"{__name__}:LabsRunner", "qgjob.runners")

    def entry_points(**given: Any) -> tuple[metadata.EntryPoint, ...]:
        return (entry,) if given == {"group": "qgjob.runners"} else ()

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    assert "labs" in Runners.load(TOOLS, {}).names
