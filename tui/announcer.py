"""What is worth a toast or the bell, each said once, as the settings want it."""

from __future__ import annotations

from tui.settings import Notify
from tui.store.alerts import alerts_of
from tui.store.store import Store


class Announcer:
    """Looks at the store once a second, and tells what is new since it looked last."""

    def __init__(self, rules: Notify) -> None:
        self._rules = rules
        self._alerts: set[str] | None = None
        self._open_runs: set[str] = set()
        self._failures = 0

    def check(self, store: Store) -> tuple[list[str], bool]:
        """The sentences to be said, and whether to ring the bell; nothing before all was read once."""
        if not store.link.ever_answered:
            return [], False
        said: list[str] = []
        bell = False
        for occasion, sentences in (
            ("alert", self._new_alerts(store)),
            ("run", self._ended_runs(store)),
            ("failed", self._new_failures(store)),
        ):
            if sentences and occasion in self._rules.toast:
                said += sentences
            bell = bell or bool(sentences and occasion in self._rules.bell)
        return said, bell

    def _new_alerts(self, store: Store) -> list[str]:
        alerts = alerts_of(store)
        known, self._alerts = self._alerts, {key for alert in alerts for key in alert.keys}
        if known is None:
            return []  # what was so when one came is on the screen
        return [alert.text for alert in alerts if not alert.keys <= known]

    def _ended_runs(self, store: Store) -> list[str]:
        open_now = {run.run_id for run in store.jobs.runs if not run.ended_all}
        gone, self._open_runs = self._open_runs - open_now, open_now
        ended = (store.jobs.runs.get(run_id) for run_id in sorted(gone))
        return [
            f"{run.name or run.run_id} is over: {run.failed} of {run.total} failed"
            if run.failed
            else f"{run.name or run.run_id} is over: all well"
            for run in ended
            if run is not None and run.ended_all
        ]

    def _new_failures(self, store: Store) -> list[str]:
        new, self._failures = store.failures_seen - self._failures, store.failures_seen
        return [f"{new} jobs failed" if new > 1 else "A job failed"] if new > 0 else []
