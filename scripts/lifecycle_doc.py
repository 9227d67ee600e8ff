"""Write docs/lifecycle.md from the table in `qgjob.domain.lifecycle`."""

from __future__ import annotations

from pathlib import Path

from bus_schemas.events import EVENT_KINDS
from qgjob.domain.lifecycle import LIFECYCLE, mermaid

# The site shows docs/images/lifecycle.svg (scripts/lifecycle_svg.py) instead of the Mermaid text.
DOC = Path(__file__).parent.parent / "docs" / "lifecycle.md"

STATES = {
    "scheduled": "waits for its time: `--at`, or the pause before a retry",
    "queued": "waits for a slot",
    "dispatched": "released to the slots of its group; none has taken it yet",
    "preparing": "a slot fetches the bundle and the build, and installs",
    "running": "the test runs",
    "passed": "the test passed",
    "failed": "the test failed",
    "timed_out": "a time limit of the job was exceeded",
    "errored": "the lab failed: device, runner, agent, build",
    "cancelled": "by request, superseded, or for lack of a slot",
    "expired": "did not start in time (`--expires`)",
}


def text() -> str:
    """The page, as it should be."""
    steps = [f"| {s.before or '–'} | {s.after} | {s.by} | {s.why} |" for s in LIFECYCLE]
    kinds = [
        f"| `{kind}` | `{row.lane}` | {row.publisher} | {(row.model.__doc__ or '').splitlines()[0]} |"
        for kind, row in EVENT_KINDS.items()
    ]
    return "\n".join(
        [
            "# The life of a job",
            "",
            "Written by `make docs` from `qgjob/domain/lifecycle.py` and `bus_schemas/events.py`.",
            "",
            "| state | meaning |",
            "|---|---|",
            *(f"| `{state}` | {meaning} |" for state, meaning in STATES.items()),
            "",
            "**failed** means that the test failed, **errored** that the lab could not run it. They are",
            "counted, retried and reported apart: `--retries` is for failures; infrastructure errors are",
            "retried on another slot without charge.",
            "",
            "```mermaid",
            mermaid().rstrip(),
            "```",
            "",
            "## Transitions",
            "",
            "| from | to | made by | why |",
            "|---|---|---|---|",
            *steps,
            "",
            "## Events",
            "",
            "`state` events are links of an attempt's claim chain, written by compare-and-set; `info` events",
            "inform.",
            "",
            "| kind | lane | published by | meaning |",
            "|---|---|---|---|",
            *kinds,
            "",
        ]
    )


if __name__ == "__main__":
    DOC.write_text(text())
