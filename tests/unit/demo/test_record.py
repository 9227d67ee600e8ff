"""What the demo remembers, however its events come."""

from __future__ import annotations

from qgjob.client.models import LiveEvent, Submitted
from qgjob.demo.record import Record
from tests.unit.demo.things import World


def test_a_job_goes_its_way() -> None:
    world = World()
    job = world.jobs[0]
    seen = [job.state]
    world.start(job, "s0", 101.0)
    seen.append(world.jobs[0].state)
    world.run(job, 102.0, install_s=1.0)
    seen.append(world.jobs[0].state)
    world.end(job, "s0", 101.0, 104.0, "passed", install_s=1.0)
    seen.append(world.jobs[0].state)
    assert seen == ["queued", "preparing", "running", "passed"]
    assert world.record.ended == 1
    assert world.record.installs == {"v1": 1}
    assert not world.record.over


def test_it_is_over_when_all_have_come_and_ended() -> None:
    world = World()
    world.end_all()
    assert world.record.over
    assert world.record.ends.total() == 4


def test_an_event_that_comes_twice_counts_once() -> None:
    world = World()
    again = world.end(world.jobs[0], "s0", 101.0, 104.0, "passed")
    world.record.on_event(again)
    assert world.record.ends[world.jobs[0].job_id] == 1
    world.record.on_event(LiveEvent(again.event, again.seq + 1))
    assert world.record.ends[world.jobs[0].job_id] == 2, "a second result is another matter"


def test_events_may_be_quicker_than_the_answer_to_the_submit() -> None:
    world = World()
    queued = world.jobs[0]
    late = Record(world.plan.jobs)
    late.on_event(world.end(queued, "s0", 101.0, 104.0, "failed"))
    assert not late.jobs
    late.on_submitted(world.plan.pushes[0], Submitted(queued.run_id, (queued,)))
    assert [job.state for job in late.jobs] == ["failed"]


def test_after_a_gap_the_systems_word_is_taken_but_an_end_stays() -> None:
    world = World()
    first, second = world.jobs[:2]
    world.end(first, "s0", 101.0, 104.0, "passed")
    news = second.model_copy(update={"state": "failed"})
    world.record.on_resync([first, news])
    assert [job.state for job in world.jobs[:2]] == ["passed", "failed"]
    assert not world.record.complete
