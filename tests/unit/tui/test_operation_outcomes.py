"""What the dashboard says of an operation that went wrong in the middle, and of where it is connected to."""

from __future__ import annotations

from qgjob.bus.connect import ServerOptions
from tui.app import DashboardApp
from tui.operations.catalog import Operation
from tui.operations.execute import Notice, Outcome

JOBS = tuple(f"j_{number}" for number in range(1200))
OPERATION = Operation("cancel", JOBS, "Cancel 1,200 jobs?", "Cancel them")
AWAY = "The server is there, but no scheduler answers."


def test_how_many_were_done_and_which_not_is_said() -> None:
    outcome = Outcome(
        done=list(JOBS[:1000]),
        already=[JOBS[1000]],
        refused={"There is no job or run j_1001.": [JOBS[1001]]},
        unanswered={AWAY: list(JOBS[1002:])},
    )
    assert outcome.notices(OPERATION) == [
        Notice("qgjob cancel: 1,000 done."),
        Notice("qgjob cancel: nothing to do for 1."),
        Notice("qgjob cancel: not done for 1 of 1,200 (j_1001). There is no job or run j_1001.", True),
        Notice(f"qgjob cancel: no answer for 198 of 1,200 (j_1002, j_1003, j_1004, …). {AWAY}", True),
    ]


def test_of_many_reasons_the_first_are_said_and_the_others_counted() -> None:
    outcome = Outcome(refused={f"reason {number}.": [job] for number, job in enumerate(JOBS[:9])})
    said = outcome.notices(OPERATION)
    assert len(said) == 6
    assert said[-1] == Notice("qgjob cancel: not done for 4 more (j_5, j_6, j_7, …).", True)


def test_of_one_job_the_reason_alone_is_said() -> None:
    one = Operation("reprioritise", JOBS[:1], "Another priority", "Change it")
    assert Outcome(unanswered={AWAY: ["j_0"]}).notices(one) == [Notice(AWAY, True)]
    assert Outcome(done=["j_0"]).notices(one) == [Notice("qgjob reprioritise: j_0")]


def test_a_priority_of_jobs_that_have_begun_is_not_passed_over() -> None:
    operation = Operation("reprioritise", JOBS[:3], "Another priority", "Change them")
    outcome = Outcome(done=["j_0"], later=["j_1", "j_2"])
    assert outcome.notices(operation)[1] == Notice(
        "qgjob reprioritise: 2 begun, where it counts if tried again."
    )


def test_the_address_that_is_shown_lets_nobody_in() -> None:
    app = DashboardApp(ServerOptions("nats://ann:hidden@lab:4222"))
    assert app.live_store.link.server == "nats://ann:…@lab:4222"


def test_a_number_of_any_length_is_no_priority() -> None:
    one = Operation("reprioritise", JOBS[:1], "Another priority", "Change it", asks_for="priority")
    assert [one.with_argument(said).priority for said in ("10", "0", "11", "010", "9" * 5000)] == [
        10,
        None,
        None,
        None,
        None,
    ]
