"""`--app "$APK"` where the variable is unset: nothing is taken for the current folder, or for all there is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qgjob.cli.main import run

SUBMIT = ("submit", "--org-id", "acme", "--app-version-id", "v1", "--test", "a.py")
RUN = "r_00000000000000000000000000"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a test, where no server is."""
    (tmp_path / "a.py").touch()
    (tmp_path / "qgjob.toml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("QGJOB_SERVER", "nats://127.0.0.1:1")
    return tmp_path


@pytest.mark.parametrize(
    ("args", "named"),
    [
        ([*SUBMIT, "--app", ""], "--app"),
        ([*SUBMIT, "--app="], "--app"),
        ([*SUBMIT, "--wait", "--junit", ""], "--junit"),
        (["app", "upload", "", "--org-id", "acme", "--app-version-id", "v1"], "FILE"),
        (["artifacts", RUN, "--download", ""], "--download"),
        (["report", RUN, "-o", ""], "--output"),
        (["report", RUN, "--attachments", ""], "--attachments"),
        (["schema", "export", ""], "DIR"),
        (["up", "--data-dir", ""], "--data-dir"),
        (["context", "add", "lab", ""], "URL"),
        (["list", "--server", ""], "--server"),
        (["list", "--creds", ""], "--creds"),
        (["agents", "drain", ""], "NAME[/SLOT]"),
    ],
    ids=str,
)
def test_an_empty_place_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str], args: list[str], named: str
):
    assert run(args) == 2
    assert capsys.readouterr().err == f"Error: {named} must not be empty.\nIs a variable unset?\n"
    assert sorted(path.name for path in project.iterdir()) == ["a.py", "qgjob.toml"]


@pytest.mark.parametrize(("line", "named"), [("app", "--app"), ("junit", "--junit")])
def test_an_empty_place_in_the_project_file_is_shown_there(
    project: Path, capsys: pytest.CaptureFixture[str], line: str, named: str
):
    (project / "qgjob.toml").write_text(f'wait = true\n{line} = ""\n')
    assert run([*SUBMIT]) == 2
    error = capsys.readouterr().err
    assert f"{named} must not be empty." in error
    assert "qgjob.toml" in error


def test_a_matrix_without_labels_is_refused(project: Path, capsys: pytest.CaptureFixture[str]):
    assert run([*SUBMIT, "--matrix", ""]) == 2
    assert "--matrix '' is not a label." in capsys.readouterr().err


def test_a_folder_that_is_gone_is_no_bug_of_ours(project: Path, capsys: pytest.CaptureFixture[str]):
    gone = project / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    try:
        assert run([*SUBMIT]) == 2
        assert run(["config", "show"]) == 2
    finally:
        os.chdir(project)
    sentence = "Error: The current folder does not exist any more."
    assert capsys.readouterr().err.count(sentence) == 2


def test_a_context_that_an_earlier_release_stored_without_a_server_is_none(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    folder = project / "config" / "qgjob"
    folder.mkdir(parents=True)
    (folder / "contexts.json").write_text(
        '{"current": "a", "contexts": {"a": {}, "b": {"server": "b:4222"}}}'
    )
    assert run(["context", "list"]) == 0
    assert capsys.readouterr().out == "  b  b:4222\n"


@pytest.mark.parametrize(
    ("args", "file_too"),
    [(["submit"], True), (["app", "upload", "a.apk"], True), (["queue", "limit"], False)],
    ids=str,
)
def test_a_missing_option_is_looked_for_where_the_command_reads_it(
    project: Path, capsys: pytest.CaptureFixture[str], args: list[str], file_too: bool
):
    assert run(args) == 2
    error = capsys.readouterr().err
    assert "QGJOB_ORG_ID" in error
    assert ("qgjob.toml" in error) == file_too
