"""What is said of files that a job left and that were not kept."""

from __future__ import annotations

from qgjob.cli.commands.artifacts import left_out_text
from tests.support.views import view


def attempt(number: int, left_out: int) -> dict[str, int]:
    return {"number": number, "artifacts_left_out": left_out}


def test_nothing_is_said_when_all_was_kept() -> None:
    assert left_out_text([view(attempts=(attempt(1, 0),)), view()]) is None


def test_it_says_how_many_files_and_where_to_read_why() -> None:
    jobs = [view(), view(job_id="j_2", attempts=(attempt(1, 1),))]
    assert left_out_text(jobs) == "1 more file was not kept. Which, and why: qgjob logs j_2"
    jobs.append(view(job_id="j_3", attempts=(attempt(1, 0), attempt(2, 2))))
    assert left_out_text(jobs) == "3 more files were not kept. Which, and why: qgjob logs j_2"
