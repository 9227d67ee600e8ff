"""Shell completion of live ids: jobs, runs, agents, slots, builds, organisations.

A key press must not hang, so the lab has half a second in all, and says nothing when it is away. The
questions are asked without the schemas, whose import alone would take a good part of that. What comes
back is evaluated by shells: only what looks like an id is offered, and descriptions are stripped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import typer

from qgjob.cli.session import Session, run
from qgjob.domain.wording import pluralize

if TYPE_CHECKING:
    from qgjob.bus.connect import Bus

Words = list[tuple[str, str]]
"""What can be completed to, each with what it is."""

LIMIT_S: Final = 0.5
LATEST: Final = 100
"""Jobs that are looked through; older ones are typed or pasted."""
_WORD: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+@-]{0,199}\Z")
_NOT_PLAIN: Final = re.compile(r"[^A-Za-z0-9 ._/,-]+")


def jobs_and_runs(ctx: typer.Context, incomplete: str) -> Words:
    """Ids of jobs and runs, newest first; runs alone where nothing is typed yet that tells."""
    if incomplete.startswith("j_"):
        return jobs(ctx, incomplete)
    if incomplete.startswith("r_"):
        return runs(ctx, incomplete)
    words = _live(ctx, "list", {"limit": LATEST}, lambda answer: [*_runs(answer), *_jobs(answer)])
    return _fitting(words, incomplete)


def jobs(ctx: typer.Context, incomplete: str) -> Words:
    """Ids of jobs, newest first."""
    return _fitting(_live(ctx, "list", {"limit": LATEST}, _jobs), incomplete)


def runs(ctx: typer.Context, incomplete: str) -> Words:
    """Ids of runs, newest first."""
    return _fitting(_live(ctx, "list", {"limit": LATEST}, _runs), incomplete)


def organisations(ctx: typer.Context, incomplete: str) -> Words:
    """Organisations that submitted lately."""
    return _fitting(_live(ctx, "list", {"limit": LATEST}, lambda a: _each(a, "org_id")), incomplete)


def tests(ctx: typer.Context, incomplete: str) -> Words:
    """Tests that were submitted lately."""
    return _fitting(_live(ctx, "list", {"limit": LATEST}, lambda a: _each(a, "test", "org_id")), incomplete)


def builds(ctx: typer.Context, incomplete: str) -> Words:
    """App versions that were submitted lately, or uploaded."""
    asked = _live(ctx, "list", {"limit": LATEST}, lambda a: _each(a, "app_version_id", "org_id"), uploaded)
    return _fitting(asked, incomplete)


def agents_and_slots(ctx: typer.Context, incomplete: str) -> Words:
    """Agents that are connected, and their slots as agent/slot."""

    def read(answer: Any) -> Words:
        agents = [agent for agent in answer["agents"] if agent.get("state") != "gone"]
        slots = [(a["agent"], s) for a in agents for s in a.get("slots", ())]
        return [
            (a["agent"], f"{pluralize(len(a.get('slots', ())), 'slot')} on {a.get('host', '')}")
            for a in agents
        ] + [(f"{agent}/{slot['name']}", slot.get("state", "")) for agent, slot in slots]

    return _fitting(_live(ctx, "agents", {}, read), incomplete)


def slots(ctx: typer.Context, incomplete: str) -> Words:
    """Slots, as agent/slot."""
    return [(name, what) for name, what in agents_and_slots(ctx, incomplete) if "/" in name]


def dead_letters(ctx: typer.Context, incomplete: str) -> Words:
    """Numbers of messages that could not be read, newest first."""

    def read(answer: Any) -> Words:
        return [(str(letter["number"]), letter["subject"]) for letter in answer.get("letters", ())]

    return _fitting(_live(ctx, "dead_letters", {"limit": LATEST}, read), incomplete)


def contexts(incomplete: str) -> Words:
    """Labs that were given names."""
    import os

    from qgjob.config import shown_server
    from qgjob.contexts import Contexts
    from qgjob.errors import QgjobError

    try:
        known = Contexts.load({**os.environ, "QGJOB_CONTEXT": ""}).known
    except QgjobError:
        return []
    return _fitting([(name, shown_server(fields["server"])) for name, fields in known.items()], incomplete)


def one_of(*choices: str) -> Callable[[str], list[str]]:
    """A completer for an option that has a few values."""

    def complete(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return complete


def _live(
    ctx: typer.Context,
    query: str,
    question: dict[str, Any],
    read: Callable[[Any], Words],
    more: Callable[[Bus], Any] | None = None,
) -> Words:
    """Ask the lab; no completions when it does not answer, or not readably."""
    params = ctx.find_root().params
    session = Session(
        server=params.get("server"),
        creds=params.get("creds"),
        tls_ca=params.get("tls_ca"),
        tls_cert=params.get("tls_cert"),
        tls_key=params.get("tls_key"),
    )
    try:
        return run(_ask(session, query, question, read, more))
    except Exception:  # noqa: BLE001  (a shell in the middle of a line is no place for an error)
        return []


async def _ask(
    session: Session,
    query: str,
    question: dict[str, Any],
    read: Callable[[Any], Words],
    more: Callable[[Bus], Any] | None,
) -> Words:
    import asyncio
    import dataclasses

    from bus_schemas import subjects
    from qgjob.bus.connect import open_bus

    options = dataclasses.replace(session.server_options("qgjob completion"), connect_timeout_s=LIMIT_S)
    async with asyncio.timeout(LIMIT_S), open_bus(options) as bus:
        reply = await bus.requests.request(subjects.query(query), json.dumps(question).encode())
        words = read(json.loads(reply.data))
        return [*words, *(await more(bus) if more else ())]


async def uploaded(bus: Bus) -> Words:
    """The builds that are registered: their versions, and whose they are."""
    from qgjob.bus.direct import read_all

    # Asked for the last message of each subject, of which there is but one, the server gives 1,024 at most.
    records = [
        json.loads(found.data)
        async for page in read_all(bus, "KV_qg_builds", "$KV.qg_builds.>")
        for found in page
        if not found.deleted
    ]
    return [(str(r["app_version_id"]), f"build of {r['org_id']}") for r in records]


def _jobs(answer: Any) -> Words:
    return [(job["job_id"], f"{job['state']} {job['test']}") for job in answer["jobs"]]


def _runs(answer: Any) -> Words:
    by_run: dict[str, list[str]] = {}
    for job in answer["jobs"]:
        by_run.setdefault(job["run_id"], []).append(f"{job['org_id']} {job['app_version_id']}")
    return [(run_id, f"{jobs[0]}, {pluralize(len(jobs), 'job')}") for run_id, jobs in by_run.items()]


def _each(answer: Any, field: str, of: str = "") -> Words:
    return [(job[field], f"of {job[of]}" if of else "") for job in answer["jobs"]]


def _fitting(words: Iterable[tuple[str, str]], incomplete: str) -> Words:
    return list(_checked(dict(reversed(list(words))).items(), incomplete))[::-1]


def _checked(words: Iterable[tuple[object, object]], incomplete: str) -> Iterator[tuple[str, str]]:
    for word, what in words:
        if isinstance(word, str) and word.startswith(incomplete) and _WORD.match(word):
            yield word, _NOT_PLAIN.sub(" ", str(what)).strip()[:60]
