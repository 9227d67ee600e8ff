"""Pictures show what was simulated, of any size, whatever the names say."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from qgjob.errors import UsageError
from qgjob.simulate.compare import Result, simulate_all
from qgjob.simulate.engine import Lab
from qgjob.simulate.generate import CiShape, ci_trace
from qgjob.simulate.labs import NamedLab
from qgjob.simulate.plot import draw, picture
from qgjob.simulate.timeline import INSTALLING, colour, number_builds, segments, usage
from qgjob.simulate.trace import TraceJob

SVG = "{http://www.w3.org/2000/svg}"


def simulated(trace: list[TraceJob], slots: int = 2, policies: tuple[str, ...] = ("fifo",)) -> list[Result]:
    return simulate_all(
        [trace], [NamedLab(f"{slots} slots", Lab.uniform(slots, 4.0))], policies, noise=0, seed=1
    )


def test_names_are_words_and_never_markup() -> None:
    trace = [TraceJob(0.0, "<v&1>\x00", '"><script>', 5.0), TraceJob(1.0, "v2", "b", 5.0, 9)]
    root = ET.fromstring(picture(simulated(trace), png=False))
    assert root.tag == f"{SVG}svg"
    assert not list(root.iter(f"{SVG}script"))
    assert any("<v&1>" in (text.text or "") for text in root.iter(f"{SVG}text"))


def test_a_stretch_is_what_a_slot_did_in_its_time() -> None:
    trace = [TraceJob(0.0, "v1", "a", 6.0), TraceJob(0.0, "v1", "b", 6.0), TraceJob(0.0, "v2", "c", 10.0)]
    executions = simulated(trace, slots=1)[0].executions
    numbers = number_builds(executions)
    span = max(one.ended_s for one in executions)
    drawn = [(one.begin, one.end, one.what) for one in segments(executions, numbers, 0.0, span, round(span))]
    assert drawn == [(0, 4, INSTALLING), (4, 16, 0), (16, 20, INSTALLING), (20, 30, 1)]
    testing, installing = usage(executions, 0.0, span, round(span))
    assert (sum(testing), sum(installing)) == (22.0, 8.0)


def test_a_slot_that_was_mostly_idle_in_a_column_shows_nothing_there() -> None:
    executions = simulated([TraceJob(0.0, "v1", "a", 0.0), TraceJob(96.0, "v1", "b", 4.0)], slots=1)[
        0
    ].executions
    drawn = list(segments(executions, number_builds(executions), 0.0, 100.0, 10))
    assert [(one.begin, one.what) for one in drawn] == []


def test_builds_next_to_each_other_differ() -> None:
    shown = [colour(number) for number in range(50)]
    assert len(set(shown)) == 50


def test_a_large_simulation_makes_no_large_picture() -> None:
    results = simulated(ci_trace(CiShape(jobs=4000, slots=24, seed=2)), 24, ("fifo", "sticky"))
    svg = picture(results, png=False)
    assert len(svg) < 3_000_000
    words = [text.text or "" for text in ET.fromstring(svg).iter(f"{SVG}text")]
    assert any(word.startswith("sticky, 24 slots: ") for word in words)
    assert {"high: share that waited at most …", "installing", "idle"} <= set(words)
    image = Image.open(BytesIO(picture(results, png=True)))
    assert (image.format, image.width) == ("PNG", 2800)
    assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 20


@pytest.mark.parametrize("name", ["p.svg", "p.PNG"])
def test_the_files_name_says_what_it_is(tmp_path: Path, name: str) -> None:
    draw(simulated([TraceJob(0.0, "v1", "a", 5.0)]), tmp_path / name)
    begin = (tmp_path / name).read_bytes()[:4]
    assert begin == (b"<svg" if name.endswith("svg") else b"\x89PNG")
    with pytest.raises(UsageError, match="cannot be written"):
        draw(simulated([TraceJob(0.0, "v1", "a", 5.0)]), tmp_path / "none" / name)
