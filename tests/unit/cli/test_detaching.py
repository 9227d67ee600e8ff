"""What an interrupted wait says and returns, by how far it had come."""

from __future__ import annotations

import io

import pytest

from qgjob.cli.display.output import Output
from qgjob.cli.session import Session
from qgjob.cli.waiting.detaching import detachable
from qgjob.cli.waiting.waiting import WaitArguments, WaitState
from qgjob.client.models import Waited, WaitOptions
from qgjob.errors import ExitCode
from tests.support.views import view

RUN_ID = "r_01m8qv2qjzf25cmhj2dkvfck2j"


@pytest.mark.parametrize(
    ("state", "code", "says"),
    [
        (WaitState(), ExitCode.DETACHED, "Interrupted before anything was submitted."),
        (
            WaitState(RUN_ID),
            ExitCode.DETACHED,
            "Interrupted before the submit was confirmed: the jobs may be there, and go on.",
        ),
        (WaitState(RUN_ID, is_stored=True), ExitCode.DETACHED, "Detached; the jobs go on."),
        (
            WaitState(
                RUN_ID, is_stored=True, ended=Waited(id=RUN_ID, run=None, jobs=(view(state="failed"),))
            ),
            ExitCode.DETACHED,
            f"Interrupted when all had ended: {RUN_ID} failed: 1 failed",
        ),
        (WaitState(RUN_ID, is_stored=True, exit_code=10), 10, ""),
    ],
    ids=["at first", "on its way", "at work", "all ended", "result printed"],
)
def test_an_interrupted_wait_says_what_is_left(
    state: WaitState, code: int, says: str, monkeypatch: pytest.MonkeyPatch
):
    for name in ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "JENKINS_URL", "BUILDKITE", "CIRCLECI"):
        monkeypatch.delenv(name, raising=False)
    stderr = io.StringIO()
    session = Session(out=Output(io.StringIO(), stderr))

    def interrupted() -> int:
        raise KeyboardInterrupt

    waiting = WaitArguments(options=WaitOptions(), state=state)
    assert detachable(session, waiting, interrupted) == code
    assert stderr.getvalue().splitlines()[:1] == ([says] if says else [])
