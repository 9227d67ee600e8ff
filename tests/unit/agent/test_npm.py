"""What npm's errors mean, and which lock file a test has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.errors import JobError
from agent.npm.errors import explain
from agent.npm.project import find_project


@pytest.mark.parametrize(
    ("output", "bundles", "sentence"),
    [
        (
            "npm error code EUSAGE\nnpm error\nnpm error `npm ci` can only install packages when …\n",
            True,
            "`npm ci` can only install packages when … (EUSAGE)",
        ),
        (
            "npm ERR! code ERESOLVE\nnpm ERR! ERESOLVE could not resolve\n",
            True,
            "ERESOLVE could not resolve (ERESOLVE)",
        ),
        (
            "npm error code ENOTFOUND\nnpm error syscall getaddrinfo\nnpm error network x\n",
            False,
            "network x (ENOTFOUND)",
        ),
        ("npm error code ENOSPC\n", False, "ENOSPC"),
        ("npm error code ESOMETHING\nnpm error what\n", False, "what (ESOMETHING)"),
        ("Killed", False, ""),
        ("", False, ""),
    ],
)
def test_npms_errors(output: str, bundles: bool, sentence: str):
    assert explain(output) == (bundles, sentence)


def project(folder: Path, packages: dict[str, Any], lock: str = "package-lock.json") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text("{}")
    (folder / lock).write_text(json.dumps({"packages": packages}))


def test_the_nearest_lock_file_counts(tmp_path: Path):
    project(tmp_path, {})
    project(tmp_path / "a/b", {}, "npm-shrinkwrap.json")
    (tmp_path / "a/b/.npmrc").write_text("")
    found = find_project(tmp_path, "a/b/c/x.spec.ts")
    assert found is not None
    assert (found.folder, found.lock) == (tmp_path / "a/b", "a/b/npm-shrinkwrap.json")
    assert found.files == ("package.json", "npm-shrinkwrap.json", ".npmrc")
    found = find_project(tmp_path, "x.spec.ts")
    assert found is not None
    assert found.lock == "package-lock.json"
    (tmp_path / "a/node_modules").mkdir()
    assert find_project(tmp_path, "a/x.spec.ts") is None


@pytest.mark.parametrize("test", ["../outside/x.spec.ts", "a/../../outside/x.spec.ts", "{outside}/x.spec.ts"])
def test_nothing_outside_of_the_bundle_is_a_project(tmp_path: Path, test: str):
    project(tmp_path / "outside", {})
    (tmp_path / "bundle" / "a").mkdir(parents=True)
    assert find_project(tmp_path / "bundle", test.format(outside=tmp_path / "outside")) is None


@pytest.mark.parametrize(
    ("lock", "sentence"),
    [
        ('{"packages": {"x": {"link": true}}}', "x is a folder of the bundle"),
        ('{"packages": {"x": {"resolved": "file:../x"}}}', "x is a folder of the bundle"),
        ("{", "no JSON document"),
        ("[" * 100_000, "no JSON document"),
    ],
)
def test_a_lock_file_that_cannot_be_installed_apart_is_refused(tmp_path: Path, lock: str, sentence: str):
    project(tmp_path, {})
    (tmp_path / "package-lock.json").write_text(lock)
    with pytest.raises(JobError, match=sentence) as caught:
        find_project(tmp_path, "x.spec.ts")
    assert (caught.value.reason, caught.value.retryable) == ("deps_broken", False)


@pytest.mark.parametrize("lock", ["[]", "3", '{"packages": 3}', '{"packages": {"x": 3}}'])
def test_an_odd_lock_file_is_npms_to_judge(tmp_path: Path, lock: str):
    project(tmp_path, {})
    (tmp_path / "package-lock.json").write_text(lock)
    assert find_project(tmp_path, "x.spec.ts") is not None
