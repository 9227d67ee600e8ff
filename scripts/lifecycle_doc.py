"""Write docs/lifecycle.md from the table in `qgjob.domain.lifecycle`."""

from __future__ import annotations

from pathlib import Path

from bus_schemas.events import EVENT_KINDS
from qgjob.domain.lifecycle import LIFECYCLE, mermaid

# The site shows docs/images/lifecycle.svg (scripts/lifecycle_svg.py) instead of the Mermaid text.
DOC = Path(__file__).parent.parent / "docs" / "lifecycle.md"


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
            "```mermaid",
            mermaid().rstrip(),
            "```",
            "",
            "A test that says no is **failed**; a lab that could not ask is **errored**. They are counted,",
            "retried and reported apart: `--retries` is for failures, infrastructure errors are tried again",
            "on another slot without charge.",
            "",
            "| from | to | made by | why |",
            "|---|---|---|---|",
            *steps,
            "",
            "## Events",
            "",
            "`state` events are links of an attempt's claim chain, written by compare-and-set; `info` events",
            "stand beside it.",
            "",
            "| kind | lane | published by | meaning |",
            "|---|---|---|---|",
            *kinds,
            "",
        ]
    )


if __name__ == "__main__":
    DOC.write_text(text())
