"""What is wide on a terminal, or stands over something else, moves no column."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from bus_schemas.agents import GroupRef, SlotStatus
from bus_schemas.queries import GroupView
from qgjob.cli.display.cells import fit, padded, width_of
from qgjob.cli.display.top_view import screen
from tests.unit.cli.test_output import make
from tests.unit.cli.test_topview import agent, overview, seen, text

NAMES = ["plain", "漢字", "テスト.py", "한글", "🧪", "❤️", "👩‍🚀", "👍🏽", "🇩🇪", "é", "ไทย"]


def column_of(line: str, word: str) -> int:
    """Where a word stands, in columns."""
    return cell_len(line[: line.index(word)])


@pytest.mark.parametrize("name", NAMES)
def test_text_takes_as_much_room_as_a_terminal_gives_it(name: str):
    assert width_of(name) == cell_len(name)
    assert cell_len(padded(name, 12)) == 12
    for width in range(1, 12):
        cut = fit(name * 3, width)
        assert cell_len(cut) <= width
        assert cut.endswith("…") or cut == name * 3


def test_a_table_is_aligned_whatever_is_in_it():
    out, stdout, _ = make()
    out.table(["TEST", "NEXT"], [[name, "x"] for name in NAMES])
    head, *rows = stdout.getvalue().splitlines()
    assert {column_of(row, "x") for row in rows} == {column_of(head, "NEXT")}


def test_top_is_aligned_whatever_is_in_it():
    groups = tuple(
        GroupView(group=GroupRef(capability="any", org_id=name, app_version_id="漢" * 30), waiting=7)
        for name in NAMES
    )
    slots = tuple(SlotStatus(name=name, driver="process", state="idle") for name in NAMES)
    shown = overview().model_copy(update={"groups": groups, "groups_total": len(groups)})
    lab = seen(overview=shown, agents=[agent(0).model_copy(update={"slots": slots})])
    lines = text(screen(lab, 100)).splitlines()
    rows = [line for line in lines if line.startswith("lab/")]
    assert len(rows) == len(NAMES)
    assert len({column_of(row, " idle") for row in rows}) == 1
    figures = [line for line in lines if "漢…" in line]
    assert figures
    assert {cell_len(line.rstrip()) for line in figures} == {38 + 22}
    assert all(cell_len(line) <= 20 for line in text(screen(lab, 20)).splitlines())
