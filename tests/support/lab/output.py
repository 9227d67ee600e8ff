"""What a test run writes: the output of a job of the play, as chunks."""

from __future__ import annotations

import random

from bus_schemas.logs import LogChunk

GREEN, RED, BOLD, DIM, RESET = "\x1b[32m", "\x1b[31m", "\x1b[1m", "\x1b[2m", "\x1b[0m"


def chunks_of(
    job_id: str, test: str, *, at: float, attempt: int = 1, cases: int = 12, bad: bool = False
) -> list[LogChunk]:
    """A plausible log, in the order it would be read."""
    dice = random.Random(f"{job_id}{attempt}")
    lines: list[tuple[str, str]] = [
        ("sys", f"bundle 3f9a1c unpacked, {test} on port 40213"),
        ("out", f"{BOLD}============ test session starts ============{RESET}"),
        ("out", "platform linux -- Python 3.11.9, pytest-9.0, pluggy-1.6"),
        ("out", f"collected {cases} items"),
        ("out", ""),
    ]
    for case in range(cases):
        failed = bad and case == cases - 3
        word = f"{RED}FAILED{RESET}" if failed else f"{GREEN}PASSED{RESET}"
        share = 100 * (case + 1) // cases
        lines.append(
            ("out", f"{test}::test_case_{case:02d} {word}{DIM} [{share:3d}%]{RESET} {dice.random():.2f}s")
        )
        if dice.random() < 0.25:
            lines.append(
                ("err", f"W/OpenGLRenderer: frame {dice.randint(100, 900)} took {dice.randint(20, 90)} ms")
            )
    if bad:
        lines += [
            ("out", f"{RED}{BOLD}E   AssertionError: expected total 42.00, got 0.00{RESET}"),
            ("out", f"{RED}E    +  where 0.00 = <Cart items=3>.total{RESET}"),
        ]
    lines.append(
        (
            "out",
            f"{RED if bad else GREEN}{BOLD}====== {'1 failed' if bad else f'{cases} passed'} ======{RESET}",
        )
    )
    chunks: list[LogChunk] = []
    for seq in range(0, len(lines), 3):
        parts = tuple((stream, text + "\n") for stream, text in lines[seq : seq + 3])
        chunks.append(
            LogChunk(job_id=job_id, attempt=attempt, seq=seq // 3, at=at + seq * 0.4, parts=parts)  # type: ignore[arg-type]
        )
    last = chunks[-1]
    return [*chunks[:-1], last.model_copy(update={"eof": True})]
