"""Draw docs/images/lifecycle.svg, the states of a job, from the table in `qgjob.domain.lifecycle`.

Where the states stand is said here; which arrows there are, and of what kind, says the table.
"""

from __future__ import annotations

from pathlib import Path

from qgjob.domain.lifecycle import LIFECYCLE, STATES, TERMINAL, Step

DOC = Path(__file__).parent.parent / "docs" / "images" / "lifecycle.svg"

PLACES = {
    "scheduled": (90, 300),
    "queued": (90, 150),
    "dispatched": (265, 150),
    "preparing": (440, 150),
    "running": (615, 150),
    "passed": (850, 40),
    "failed": (850, 100),
    "timed_out": (850, 160),
    "errored": (850, 220),
    "cancelled": (850, 280),
    "expired": (850, 340),
}
"""The middle of each state."""
Point = tuple[float, float]
W, H = 112, 34
SIZE = (930, 440)
KINDS = {
    None: ("on", "onwards"),
    "takeover": ("over", "taken over by another slot"),
    "retry": ("again", "tried again"),
    "request": ("asked", "tried once more by request"),
}

STYLE = """
text { font: 13px system-ui, "DejaVu Sans", sans-serif; fill: #1f2933; text-anchor: middle; }
.ground { fill: #fbfcfc; stroke: #d5dde0; }
.state { fill: #ffffff; stroke: #4a5b63; }
.waits { fill: #e6f0fb; } .held { fill: #e3f4f1; } .good { fill: #e4f5e4; } .bad { fill: #fdeaea; }
.lab { fill: #f7e8fa; } .void { fill: #f3f1e4; }
path { fill: none; stroke-width: 1.3; }
.on { stroke: #4a5b63; } .over { stroke: #0f766e; stroke-dasharray: 2 3; }
.again { stroke: #b45309; stroke-dasharray: 6 3; } .asked { stroke: #7c3aed; stroke-dasharray: 9 4; }
.key { text-anchor: start; font-size: 12px; }
path.head { stroke-dasharray: none; }
@media (prefers-color-scheme: dark) {
  text { fill: #e3e8ea; }
  .ground { fill: #1e2429; stroke: #39434a; }
  .state { fill: #2a3238; stroke: #9fb0b8; }
  .waits { fill: #22364c; } .held { fill: #1d3f3b; } .good { fill: #234226; } .bad { fill: #4c2626; }
  .lab { fill: #432a4b; } .void { fill: #3d3a28; }
  .on { stroke: #9fb0b8; } .over { stroke: #4fd1c0; } .again { stroke: #f0a65a; } .asked { stroke: #b794f6; }
}
"""
LOOKS = {
    "scheduled": "waits",
    "queued": "waits",
    "dispatched": "held",
    "preparing": "held",
    "running": "held",
    "passed": "good",
    "failed": "bad",
    "timed_out": "bad",
    "errored": "lab",
    "cancelled": "void",
    "expired": "void",
}


def text() -> str:
    """The picture, as it should be."""
    width, height = SIZE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        "<title>The states of a job, and what leads from one to the other</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="ground" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="6"/>',
    ]
    asked = [step for step in LIFECYCLE if step.again == "request"]
    parts += [_arrow(step) for step in LIFECYCLE if step not in asked]
    parts.append(_by_request({step.before for step in asked}))
    parts += [_state(state) for state in STATES]
    parts += _key()
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _state(state: str) -> str:
    x, y = PLACES[state]
    place = f'x="{x - W / 2:g}" y="{y - H / 2:g}" width="{W}" height="{H}" rx="6"'
    shape = f'<rect class="state {LOOKS[state]}" {place}/>'
    return f'{shape}<text x="{x}" y="{y + 4}">{state.replace("_", " ")}</text>'


def _arrow(step: Step) -> str:
    """A step's way: out of one side of a state, two points that bend it, and into a side of the next."""
    kind = KINDS[step.again][0]
    x, y = PLACES[step.after]
    left, top, bottom = (x - W / 2, y), y - H / 2, y + H / 2
    if step.before is None:  # out of nowhere
        start, end = (12, y), left
        if step.after == "cancelled":
            start, end = (12, 225), (left[0], y + 8)
            return _curve(kind, start, (300, 250), (600, 292), end, "right")
        return _curve(kind, start, start, end, end, "right")
    u, v = PLACES[step.before]
    under, over = v + H / 2, v - H / 2
    if step.before == step.after:
        return _curve(
            kind, (u - 16, under), (u - 30, under + 35), (u + 30, under + 35), (x + 16, bottom), "up"
        )
    if step.after == "queued" and step.again:
        rise = over - 30 - (u - x) / 8
        return _curve(kind, (u, over), (u, rise), (x + 10, rise), (x + 10, top), "down")
    if step.after == "scheduled":
        return _curve(kind, (u - 30, under), (u - 40, y - 40), (x + 200, y), (x + W / 2, y), "left")
    if step.before == "scheduled" and step.after == "queued":
        return _curve(kind, (u, over), (u, over), (x, bottom), (x, bottom), "up")
    if step.again == "takeover":  # from running back to preparing
        return _curve(kind, (u - 30, over), (u - 40, over - 33), (x + 40, top - 33), (x + 30, top), "down")
    if step.after in TERMINAL:
        near_end = (x - 170, y)
        if step.before in {"running", "scheduled"}:
            bend = (u + W / 2 + 60, v) if step.before == "running" else (u + 60, (v + y) / 2)
            return _curve(kind, (u + W / 2, v), bend, near_end, left, "right")
        return _curve(kind, (u + 20, under), (u + 90, max((v + y) / 2, v + 50)), near_end, left, "right")
    if x - u > 200:  # past a state
        return _curve(kind, (u + 30, over), (u + 60, over - 27), (x - 60, top - 27), (x - 30, top), "down")
    start = (u + W / 2, v)
    return _curve(kind, start, start, left, left, "right")


def _by_request(ends: set[str | None]) -> str:
    """One arrow for all ends: from the column's foot around below everything."""
    assert ends == set(TERMINAL), "an end from which there is no way back is drawn with one"
    x, y = PLACES["expired"]
    u, v = PLACES["queued"]
    tip = (u - 40, v + H / 2)
    way = f"M {x},{y + H / 2:g} V 385 H 28 V {v + 30} Q 28,{v + 24} {tip[0]:g},{tip[1] + 7:g}"
    return f'<path class="asked" d="{way}"/>' + _head("asked", tip, "up")


def _curve(kind: str, start: Point, bend: Point, bend_too: Point, tip: Point, to: str) -> str:
    """A curve that ends where the head of its arrow begins."""
    x, y = tip
    end = {"right": (x - 7, y), "left": (x + 7, y), "up": (x, y + 7), "down": (x, y - 7)}[to]
    points = " ".join(f"{a:g},{b:g}" for a, b in (bend, bend_too, end))
    return f'<path class="{kind}" d="M {start[0]:g},{start[1]:g} C {points}"/>' + _head(kind, tip, to)


def _head(kind: str, tip: Point, to: str) -> str:
    x, y = tip
    corners = {
        "right": ((x - 8, y - 4), (x - 8, y + 4)),
        "left": ((x + 8, y - 4), (x + 8, y + 4)),
        "up": ((x - 4, y + 8), (x + 4, y + 8)),
        "down": ((x - 4, y - 8), (x + 4, y - 8)),
    }[to]
    around = " L ".join(f"{a:g},{b:g}" for a, b in (tip, *corners))
    return f'<path class="{kind} head" d="M {around} Z"/>'


def _key() -> list[str]:
    parts: list[str] = []
    x = 40
    for kind, meaning in KINDS.values():
        parts.append(f'<path class="{kind}" d="M {x},415 L {x + 36},415"/>')
        parts.append(f'<text class="key" x="{x + 44}" y="419">{meaning}</text>')
        x += 70 + 7 * len(meaning) + 20
    return parts


if __name__ == "__main__":
    DOC.write_text(text())
