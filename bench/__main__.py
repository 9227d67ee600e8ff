"""`python -m bench [NAME…] [--quick]`: run benchmarks and print their figures as JSON lines."""

from __future__ import annotations

import importlib
import json
import sys

BENCHMARKS = {
    "latency": ("bench.pipeline", "run_latency"),
    "throughput": ("bench.pipeline", "run_throughput"),
    "commands": ("bench.pipeline", "run_commands"),
    "decision_cost": ("bench.decision_cost", "run_decision_cost"),
    "dashboard": ("bench.tui_load", "run_dashboard"),
    "placement": ("bench.placement", "run_placement"),
    "placement_policy": ("bench.placement_policy", "run_placement_policy"),
    "placement_streams": ("bench.placement_policy", "run_placement_streams"),
    "short_jobs": ("bench.short_jobs", "run_short_jobs"),
    "projection": ("bench.projection", "run_projection"),
    "gateway": ("bench.gateway", "run_gateway"),
    "listing": ("bench.commandline", "run_listing"),
    "waiting": ("bench.commandline", "run_waiting"),
    "startup": ("bench.startup", "run_startup"),
    "handover": ("bench.handover", "run_handover"),
    "failover": ("bench.failover", "run_failover"),
    "devices": ("bench.devices", "run_devices"),
    "slot": ("bench.slot", "run_slot"),
    "verbs": ("bench.verbs", "run_verbs"),
}
HAVE_QUICK = {"placement", "placement_policy"}
"""Those that leave out their longest part with `--quick`; the others are the same with it."""


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all; `--quick` among the names shortens those that can be."""
    quick = "--quick" in names
    names = [name for name in names if name != "--quick"]
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"No benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}.", file=sys.stderr)
        return 2
    for name in names or BENCHMARKS:
        module, function = BENCHMARKS[name]
        options = {"quick": True} if quick and name in HAVE_QUICK else {}
        figures = getattr(importlib.import_module(module), function)(**options)
        print(json.dumps({name: figures}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
