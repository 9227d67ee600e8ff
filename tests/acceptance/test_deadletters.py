"""Messages that nobody could read, as an operator meets them in a terminal."""

from __future__ import annotations

import base64
from typing import Any

from bus_schemas.streams import JOBS
from qgjob.bus.connect import ServerOptions, open_bus
from qgjob.bus.deadletters import set_aside
from qgjob.config import running_up
from tests.acceptance.conftest import Qgjob
from tests.support.wait import wait_for

HOSTILE = b"\x1b]52;c;aGFja2Vk\x07\xc2\x9b2J\xff\r\n::error::\n" + b"x" * 100_000
NASTY = "\x1b[2Jwrong\n\u202e" + "why " * 200


async def test_dead_letters_are_listed_shown_and_dropped(qgjob: Qgjob) -> None:
    up = running_up(qgjob.env)
    assert up
    async with open_bus(ServerOptions(url=up.server, name="test")) as bus:
        for subject in ("qg.jobs.high.\x07a.1", "qg.jobs.high.a.2"):
            assert await set_aside(bus, JOBS, subject, HOSTILE, NASTY, seq=7)

    def run(*args: str) -> Any:
        return qgjob("deadletters", *args)

    document = run("list", "--json").json
    newest, older = document["dead_letters"]
    assert document["total"] == 2
    assert (newest["subject"], newest["size"], newest["kept"]) == ("qg.jobs.high.a.2", len(HOSTILE), 65_536)
    assert "data" not in newest
    number = str(older["number"])
    for done in (run("list"), run("show", number), run("list", "--limit", "1")):
        assert done.code == 0, done.err
        assert not set("\x1b\x07\x9b\r\u202e") & set(done.out)
        assert "::error::" not in done.out.splitlines()
        assert "\\x1b]52;c;aGFja2Vk\\x07\\x9b2J" in done.out
    assert max(map(len, run("list").out.splitlines())) < 260
    assert "1 older one" in run("list", "--limit", "1").err
    shown = run("show", number)
    assert "payload:   97.7 KiB, of which the first 64 KiB are kept" in shown.out
    assert "sequence 7" in shown.out
    assert base64.b64decode(run("show", number, "--json").json["data"]) == HOSTILE[:65_536]

    assert "2 unreadable messages set aside: `qgjob deadletters list`" in qgjob("health").out
    await wait_for(
        lambda: "2 messages could not be read: see `qgjob deadletters list`" in qgjob("queue", "status").err,
        20,
        "the leader's number",
    )
    completed = {"_QGJOB_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "qgjob deadletters show "}
    offered = await wait_for(lambda: out if number in (out := qgjob(env=completed).out) else "", 30)
    assert "\x07" not in offered

    for wrong in (
        ("drop",),
        ("drop", number, "--all"),
        ("drop", "0"),
        ("show", "x"),
        ("list", "--limit", "0"),
    ):
        assert run(*wrong).code == 2, wrong
    assert run("drop", number).out == f"Dropped dead letter {number}.\n"
    assert [run(verb, number).code for verb in ("drop", "show")] == [6, 6]
    assert run("drop", "--all", "--json").json == {"dropped": 1}
    nothing = run("drop", "--all")
    assert (nothing.code, nothing.out) == (0, "")
    empty = run("list")
    assert (empty.code, empty.out) == (0, "")
    assert empty.err == "There are no dead letters: everything could be read.\n"
    assert run("list", "--json").json == {"total": 0, "dead_letters": []}
