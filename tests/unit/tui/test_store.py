"""The store of jobs: what it tells as changed, and what it needs."""

from __future__ import annotations

import subprocess
import sys

from bus_schemas.agents import Heartbeat, SlotStatus
from bus_schemas.events import Attempt, Progress, Released
from bus_schemas.queries import Overview
from tests.support.clock import ManualClock
from tests.support.lab.model import START, LabModel
from tests.support.views import event_ids, view
from tui.store.attempt import RUNNING, AttemptFacts, Claim, End, Run
from tui.store.job import Job
from tui.store.store import Store
from tui.widgets.slot_table import SlotTable


def test_a_delayed_job_becomes_a_queued_one_by_itself() -> None:
    clock = ManualClock(START)
    store = Store(clock)
    model = LabModel(seed=1, now=START)
    event = model.submit(1)[0]
    store.apply_event(event.model_copy(update={"not_before": START + 30}), 1)
    job = store.jobs.get(event.job_id)
    assert job is not None
    assert job.state == "scheduled"
    store.take_changes()
    clock.advance(31)
    assert store.take_changes().jobs == {event.job_id}
    assert job.state == "queued"


def test_changes_are_told_once() -> None:
    store = Store(ManualClock(START))
    store.take_changes()
    assert not store.take_changes()
    store.apply_overview(Overview(at=1.0))
    changes = store.take_changes()
    assert changes.overview
    assert not changes.jobs
    assert not store.take_changes()
    store.reset()
    assert store.take_changes().overview
    assert store.overview is None


def test_a_job_of_which_only_its_id_is_known() -> None:
    job = Job("j_1", "acme", "r_1")
    released = Released(org_id="acme", run_id="r_1", job_id="j_1", attempt=2, at=5.0, group="g")
    job.apply_event(released, 1, 10.0)
    assert (job.state, job.attempt, job.test, job.priority) == ("dispatched", 2, "", 0)
    assert job.took(10.0) is None
    assert job.waited(10.0) is None


def test_how_long_a_job_waits_that_is_tried_again() -> None:
    job = Job("j_1", "acme", "r_1")
    job.queued_at = 10.0
    job.get_attempt(1).merge_claim(Claim(0, 1, "a", "s0", None, 15.0, RUNNING))
    assert job.waited(100.0) == 5.0
    job.get_attempt(1).merge_end(End(final=False, state="errored", at=40.0))
    job.attempt, job.state = 2, "queued"
    assert job.waited(100.0) == 60.0, "since then"
    job.state = "running"
    assert job.waited(100.0) == 30.0, "nobody told when a slot had it first: until that was over"


def test_the_store_and_the_drawing_need_no_textual_and_no_bus() -> None:
    """Headless means headless; and the first paint waits neither for pydantic nor for nats."""
    headless = (
        "import sys, pkgutil, importlib, tui.store, tui.draw\n"
        "for package in (tui.store, tui.draw):\n"
        "    for module in pkgutil.iter_modules(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(module.name)\n"
        "print([m for m in ('textual', 'nats', 'pydantic', 'asyncio') if m in sys.modules])\n"
        "import tui.launch\n"
        "print([m for m in ('nats', 'pydantic', 'bus_schemas', 'redis', 'typer') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", headless], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]"]


def test_what_was_said_before_the_test_began_is_over() -> None:
    facts = AttemptFacts(1)
    assert facts.current_step == ""
    facts.merge_step(4, "installing v1")
    assert facts.current_step == "installing v1"
    facts.merge_run(Run(5, 10.0, installed=True, install_s=3.0))
    assert facts.current_step == ""
    facts.merge_step(6, "half way")
    assert facts.current_step == "half way"
    facts.merge_end(End(final=True, state="passed", at=20.0))
    assert facts.current_step == ""


def test_a_slot_that_prepares_says_so_and_what_it_does_though_the_event_was_missed() -> None:
    store = Store(ManualClock(START))
    slot = SlotStatus(name="s0", driver="adb", state="busy", job_id="j_1")
    store.apply_heartbeat(
        Heartbeat(agent="lab-1", host="h", pid=1, version="1", started_at=1.0, at=START, slots=(slot,))
    )
    begun = Attempt(number=1, agent="lab-1", slot="s0", started_at=START)
    store.apply_view(view(state="preparing", message="installing v1", attempts=(begun,)))
    table = SlotTable(store, "slots")
    table._arrange()  # pyright: ignore[reportPrivateUsage]
    widths = [(column, 20) for column in SlotTable.columns if column.key in {"state", "note"}]
    drawn = ["".join(text for text, _ in line).strip() for line in table.cells("lab-1/s0", widths)]
    assert drawn == ["◐ preparing", "installing v1"]
    store.apply_event(Progress.model_validate({**event_ids(view()), "message": "half way"}), 1)
    assert table.cells("lab-1/s0", widths)[1][0][0].strip() == "half way", "what is heard is newer"
