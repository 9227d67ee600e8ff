"""A backlog's stream that is full: what waits goes on, and what is to be tried again is, once there is room."""

from __future__ import annotations

from pathlib import Path

from bus_schemas import streams
from bus_schemas.events import Ended
from tests.support.pipeline import EventRecorder, counts_reached, system
from tests.support.runs import planned, submit
from tests.support.wait import wait_for


async def test_a_full_backlog_delays_a_retry_and_nothing_else(tmp_path: Path) -> None:
    async with (
        system(tmp_path, agents=1, slots=1) as (_, bus),
        EventRecorder().watching(bus) as witness,
    ):
        script = 'until [ -e "$1" ]; do sleep 0.05; done; false'
        go_on = tmp_path / "go on"
        fails = planned(1, runner="auto", argv=("sh", "-c", script, "sh", str(go_on)))
        fails.specs[0] = fails.specs[0].model_copy(update={"retries": 1})
        await submit(bus, fails)
        await wait_for(witness.started, 20, "the test that fails to start")
        others = planned(8, runner="sleep", argv=("0.4",))
        await submit(bus, others)
        info = await bus.requests.api(f"STREAM.INFO.{streams.JOBS}")
        await bus.requests.api(f"STREAM.UPDATE.{streams.JOBS}", {**info["config"], "max_bytes": 1})
        go_on.touch()
        await counts_reached(bus, others.run_id, {"passed": 8}, 60)
        assert not witness.ends[fails.specs[0].job_id]
        await bus.requests.api(f"STREAM.UPDATE.{streams.JOBS}", info["config"])
        await counts_reached(bus, fails.run_id, {"failed": 1})
        ends = [event for event in witness.events[fails.specs[0].job_id] if isinstance(event, Ended)]
        assert [end.attempt for end in ends] == [1, 2]
        assert set(witness.ends.values()) == {1}
