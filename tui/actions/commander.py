"""What the commands behind `:` do, once they are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tui.actions.command_line import CommandError, parse_ago, parse_command, parse_moment
from tui.draw.times import count
from tui.operations import catalog
from tui.platform.export import export_jobs
from tui.platform.saving import dated, new_file, saved_at
from tui.store.filter import FilterError, parse_filter
from tui.store.orders import ORDERS
from tui.themes import ROUND

if TYPE_CHECKING:
    from tui.app import DashboardApp


class Commander:
    """Carries out a line; what cannot be done is a `CommandError` whose text says why."""

    def __init__(self, app: DashboardApp) -> None:
        self._app = app

    def run(self, line: str) -> None:
        """Read a line and do it."""
        name, arguments = parse_command(line)
        if name:
            getattr(self, f"_{name}")(*arguments)

    def _overview(self) -> None:
        self._app.go_home()

    def _jobs(self, *words: str) -> None:
        text = " ".join(words)
        try:
            parse_filter(text)
        except FilterError as error:
            raise CommandError(str(error)) from None
        self._app.show_filtered(text)

    def _runs(self, *words: str) -> None:
        self._app.open_runs(" ".join(words))

    def _slots(self, *words: str) -> None:
        self._app.open_slots(" ".join(words))

    def _alerts(self) -> None:
        self._app.open_alerts()

    def _job(self, job_id: str, *_: str) -> None:
        self._app.open_job(self._known_job(job_id))

    def _run(self, run_id: str, *_: str) -> None:
        if self._app.store.jobs.runs.get(run_id) is None:
            raise CommandError(self._unknown(f"No run {run_id!r}"))
        self._app.open_run(run_id)

    def _log(self, *job_ids: str) -> None:
        known = [self._known_job(job_id) for job_id in job_ids]
        if len(known) == 1:
            self._app.open_job(known[0])
        else:
            self._app.open_logs(known)

    def _order(self, name: str, *_: str) -> None:
        if name not in ORDERS:
            raise CommandError(f"There is no order {name!r}: {', '.join(ORDERS)}.")
        self._app.show_jobs(order=name)

    def _theme(self, name: str, *_: str) -> None:
        known = self._app.available_themes
        found = [theme for theme in (*ROUND, *known) if theme == name and theme in known]
        found += [theme for theme in (*ROUND, *known) if theme.endswith(name)]
        if not found:
            raise CommandError(f"There is no theme {name!r}: {', '.join(sorted(known))}.")
        self._app.theme = found[0]

    def _export(self, kind: str, *names: str) -> None:
        if kind not in {"csv", "json"}:
            raise CommandError("Jobs are exported as csv or json.")
        named = Path(names[0]).expanduser() if names else None
        path = named or dated("qgjob-jobs", kind, self._app.store.clock.now())
        known = self._app.store.jobs
        jobs = [job for job_id in self._app.index if (job := known.get(job_id)) is not None]
        try:
            with new_file(self._app, path) as file:
                file.write(export_jobs(jobs, "csv" if kind == "csv" else "json"))
        except FileExistsError:
            raise CommandError(f"{path} is there already; name another file.") from None
        except OSError as error:
            raise CommandError(f"{path} was not written: {error.strerror}.") from None
        self._app.notify(f"Wrote {len(jobs):,} jobs to {saved_at(self._app, path)}", markup=False)

    def _replay(self, ago: str = "1h", *_: str) -> None:
        self._app.start_replay(parse_ago(ago))

    def _seek(self, text: str, *_: str) -> None:
        if self._app.replay is None:
            raise CommandError("Nothing is replayed; `:replay 1h` begins.")
        self._app.replay.seek(parse_moment(text, self._app.live_store.clock.now()))

    def _live(self) -> None:
        self._app.end_replay()

    def _pause(self, *orgs: str) -> None:
        self._app.confirm(catalog.queue("pause", *orgs[:1]))

    def _resume(self, *orgs: str) -> None:
        self._app.confirm(catalog.queue("resume", *orgs[:1]))

    def _hold(self, verb: str, name: str, *_: str) -> None:
        try:
            wanted = catalog.slot_verb(verb)
        except ValueError:
            raise CommandError("Slots can be held with drain, pause, quarantine; resume lets go.") from None
        self._app.confirm(catalog.slots(wanted, [name]))

    def _picture(self) -> None:
        self._app.action_save_picture()

    def _again(self) -> None:
        self._app.action_read_again()

    def _help(self) -> None:
        self._app.action_help()

    def _quit(self) -> None:
        self._app.action_leave()

    def _known_job(self, job_id: str) -> str:
        known = self._app.store.jobs
        if known.get(job_id) is not None:
            return job_id
        found = [other for other in known if other.startswith(job_id)] if len(job_id) > 3 else []
        if not found:
            raise CommandError(self._unknown(f"No job {job_id!r}"))
        if len(found) > 1:
            raise CommandError(f"{count(len(found))} jobs begin with {job_id!r}: more of the id is needed.")
        return found[0]

    def _unknown(self, what: str) -> str:
        link = self._app.store.link
        if link.replay or (link.phase == "live" and not link.snapshot_loading):
            return f"{what} is known."
        why = "older ones are still read" if link.phase == "live" else "jobs are not read yet"
        return f"{what} is known so far: {why}."
