"""Which runner a test is for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.errors import RunnerError
from agent.launch import JobDirs
from agent.runners.detect import detect_runner
from agent.runners.playwright import PlaywrightRunner
from agent.runners.registry import Runners
from tests.support.runnerjobs import TOOLS, add, job


@pytest.mark.parametrize(
    ("files", "test", "runner"),
    [
        ({}, "a.spec.ts", "command"),
        ({"playwright.config.ts": ""}, "e2e/a.spec.ts", "playwright"),
        ({"e2e/playwright.config.mjs": ""}, "e2e/sub/a.test.js", "playwright"),
        ({"other/playwright.config.ts": ""}, "e2e/a.spec.ts", "command"),
        ({"package.json": '{"devDependencies": {"@playwright/test": "1"}}'}, "a.spec.tsx", "playwright"),
        ({"package.json": '{"dependencies": ["@playwright/test"]}'}, "a.spec.ts", "command"),
        ({"package.json": "[" * 99_999}, "a.spec.ts", "command"),
        ({"playwright.config.ts": ""}, "helper.ts", "command"),
        ({}, "test_a.py", "command"),
        ({"conftest.py": ""}, "tests/test_a.py", "pytest"),
        ({"tests/conftest.py": ""}, "tests/sub/a_test.py", "pytest"),
        ({"pytest.ini": ""}, "test_a.py", "pytest"),
        ({"pyproject.toml": "[tool.pytest.ini_options]"}, "test_a.py", "pytest"),
        ({"pyproject.toml": "[project]"}, "test_a.py", "command"),
        ({"tox.ini": "[pytest]"}, "test_a.py", "pytest"),
        ({"setup.cfg": "[tool:pytest]"}, "test_a.py", "pytest"),
        ({"conftest.py": ""}, "a.py", "command"),
        ({"test_a.py": "import pytest\nif __name__ == '__main__': pytest.main()"}, "test_a.py", "pytest"),
        ({"test_a.py": "def test_x(): pass\n"}, "test_a.py", "pytest"),
        ({"test_a.py": "import os\nclass TestX(Base):\n    pass\n"}, "test_a.py", "pytest"),
        ({"test_a.py": "class TestX(Base): ...\nif __name__ == '__main__': main()"}, "test_a.py", "command"),
        ({"test_a.py": "print('import pytest')"}, "test_a.py", "command"),
    ],
)
def test_detection(dirs: JobDirs, files: dict[str, str], test: str, runner: str):
    for name, text in files.items():
        add(dirs, name, text)
    assert detect_runner(dirs.bundle, test) == runner


@pytest.mark.parametrize("name", ["test_it.py", "flow.yaml", "requirements.txt"])
@pytest.mark.parametrize("text", ["\n" * 2**20, "class Test" + "a" * 2**20])
def test_a_file_of_a_megabyte_is_looked_through_once(dirs: JobDirs, name: str, text: str):
    dirs.bundle.mkdir(exist_ok=True)
    (dirs.bundle / "test_it.py").touch()
    (dirs.bundle / name).write_text(text)
    assert detect_runner(dirs.bundle, "test_it.py" if name.endswith("txt") else name) == "command"


def test_the_files_of_a_shard_want_the_same_runner(dirs: JobDirs):
    add(dirs, "e2e/playwright.config.ts")
    runners = Runners.load(TOOLS, {})
    with pytest.raises(RunnerError, match=r"e2e/a\.spec\.ts playwright, smoke\.sh command") as caught:
        runners.find("auto", dirs.bundle, "e2e/a.spec.ts", "e2e/b.spec.ts", "smoke.sh")
    assert not caught.value.retryable
    assert runners.find("playwright", dirs.bundle, "e2e/a.spec.ts", "smoke.sh").name == "playwright"
    assert runners.find("auto", dirs.bundle, "e2e/a.spec.ts", "e2e/b.spec.ts").name == "playwright"


def test_the_files_of_a_shard_have_one_configuration(dirs: JobDirs):
    tests = ("a/e2e/x.spec.ts", "a/y.spec.ts", "b/z.spec.ts")
    for name in (*tests, "a/playwright.config.ts", "node_modules/@playwright/test/cli.js"):
        add(dirs, name)
    runner = PlaywrightRunner(TOOLS)
    launch = runner.prepare(replace(job("shard 1 of 1"), tests=tests[:2]), dirs)
    assert launch.cwd == dirs.bundle / "a"
    with pytest.raises(RunnerError, match=r"has a/playwright\.config\.ts, b/z\.spec\.ts has no playwright"):
        runner.prepare(replace(job("shard 1 of 1"), tests=tests), dirs)
