"""The last lines of an output that was stored in chunks. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bus_schemas.logs import StoredChunk


def last_lines(chunks: Sequence[StoredChunk], lines: int) -> tuple[tuple[StoredChunk, ...], bool]:
    """The end of the chunks in which the job wrote so many lines, and whether its beginning is among them.

    The first chunk of it begins where the first of these lines does. A line at the end that is not finished
    counts. What the agent says between them is kept, and does not count.
    """
    wanted = lines
    open_end = True
    for place in range(len(chunks) - 1, -1, -1):
        parts = chunks[place].parts
        for index in range(len(parts) - 1, -1, -1):
            stream, text = parts[index]
            if stream == "sys" or not text:
                continue
            if open_end and text.endswith("\n"):
                wanted += 1  # a final newline does not begin another line
            open_end = False
            breaks = text.count("\n")
            if breaks < wanted:
                wanted -= breaks
                continue
            at = len(text)
            for _ in range(wanted):
                at = text.rindex("\n", 0, at)
            rest = text[at + 1 :]
            kept = ((stream, rest), *parts[index + 1 :]) if rest else parts[index + 1 :]
            first = chunks[place].model_copy(update={"parts": kept, "dropped": 0})
            return ((first,) if kept or first.eof else ()) + tuple(chunks[place + 1 :]), True
    return tuple(chunks), False
