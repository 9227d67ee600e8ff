from __future__ import annotations

import json
from pathlib import Path

import pytest

from qgjob.cli.ci import detected_meta, in_ci

GITHUB = {
    "CI": "true",
    "GITHUB_ACTIONS": "true",
    "GITHUB_REF_NAME": "main",
    "GITHUB_SHA": "abc",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "acme/app",
    "GITHUB_RUN_ID": "7",
    "GITHUB_WORKFLOW": "e2e",
    "GITHUB_ACTOR": "ann",
}


def test_at_a_desk_nothing_is_known():
    assert detected_meta({"HOME": "/"}) == {}
    assert not in_ci({"CI": "false"})
    assert in_ci({"CI": "1"})
    assert in_ci({"JENKINS_URL": "http://ci"})


def test_a_push_on_github():
    assert detected_meta(GITHUB) == {
        "ci": "github",
        "branch": "main",
        "commit": "abc",
        "url": "https://github.com/acme/app/actions/runs/7",
        "name": "e2e",
        "actor": "ann",
    }


def test_a_pull_request_on_github_has_its_own_commit_not_that_of_the_merge(tmp_path: Path):
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 12, "head": {"sha": "feed"}}}))
    found = detected_meta({**GITHUB, "GITHUB_HEAD_REF": "fix", "GITHUB_EVENT_PATH": str(event)})
    assert (found["branch"], found["commit"], found["pull_request"]) == ("fix", "feed", "12")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"pull_request": 1}', '{"pull_request": {"head": []}}'])
def test_a_strange_event_file_is_passed_over(tmp_path: Path, text: str):
    event = tmp_path / "event.json"
    event.write_text(text)
    assert detected_meta({**GITHUB, "GITHUB_EVENT_PATH": str(event)})["commit"] == "abc"


@pytest.mark.parametrize(
    ("env", "meta"),
    [
        (
            {"GITLAB_CI": "true", "CI_COMMIT_REF_NAME": "main", "CI_COMMIT_SHA": "a", "CI_JOB_URL": "u"},
            {"ci": "gitlab", "branch": "main", "commit": "a", "url": "u"},
        ),
        (
            {"GITLAB_CI": "true", "CI_MERGE_REQUEST_IID": "3", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "x"},
            {"ci": "gitlab", "branch": "x", "pull_request": "3"},
        ),
        (
            {"JENKINS_URL": "j", "BRANCH_NAME": "PR-4", "CHANGE_ID": "4", "CHANGE_BRANCH": "fix"},
            {"ci": "jenkins", "branch": "fix", "pull_request": "4"},
        ),
        (
            {"BUILDKITE": "true", "BUILDKITE_PULL_REQUEST": "false", "BUILDKITE_BRANCH": "main"},
            {"ci": "buildkite", "branch": "main"},
        ),
        (
            {"CIRCLECI": "true", "CIRCLE_PULL_REQUEST": "https://github.com/a/b/pull/9", "CIRCLE_SHA1": "c"},
            {"ci": "circleci", "commit": "c", "pull_request": "9"},
        ),
    ],
)
def test_others_are_known_by_their_variables(env: dict[str, str], meta: dict[str, str]):
    assert detected_meta(env) == meta
