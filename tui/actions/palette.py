"""The command palette: what the table of actions offers on this screen, and jobs by name."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.markup import escape

from tui.actions.bindings import Action, Scope, actions_of, key_text
from tui.actions.command_line import COMMANDS, Command
from tui.draw.clean import clean
from tui.store.filter import parse_filter

if TYPE_CHECKING:
    from tui.app import DashboardApp

_JOBS = 8
_LOOKED_AT = 20_000
_BY_HELP = 0.2
"""The score of an action in whose sentence the words stand."""
_SCOPES: dict[str, tuple[Scope, ...]] = {
    "overview": ("overview", "table", "marks", "app"),
    "job": ("job", "log", "app"),
    "logs": ("logs", "log", "app"),
    "runs": ("list", "runs", "table", "app"),
    "run": ("run", "table", "marks", "app"),
    "slots": ("list", "slots", "table", "app"),
    "alerts": ("alerts", "table", "app"),
}


class ActionProvider(Provider):
    """Finds actions, and jobs whose test has the words."""

    @property
    def dashboard(self) -> DashboardApp:
        """Our app."""
        return cast("DashboardApp", self.app)

    def offered(self) -> list[Action]:
        """The actions that can be done here and now."""
        name = self.screen.name or ""
        return [
            action
            for action in actions_of(*_SCOPES.get(name, ("app",)))
            if action.palette and self.dashboard.allows(action, self.screen)
        ]

    def commands(self) -> list[Command]:
        """The commands that take something: what others do has an action."""
        may = self.dashboard.can_mutate
        return [command for command in COMMANDS if command.arguments and (may or not command.mutates)]

    async def discover(self) -> Hits:
        """Everything that can be done here."""
        for action in self.offered():
            yield DiscoveryHit(f"{action.label}  ({key_text(action)})", self._doing(action), help=action.help)

    async def search(self, query: str) -> Hits:
        """Actions first, then commands, then jobs."""
        matcher = self.matcher(query)
        for action in self.offered():
            text = f"{action.label}  ({key_text(action)})"
            score = matcher.match(text)
            if not score and query.casefold() in action.help.casefold():
                score = _BY_HELP
            if score > 0:
                yield Hit(score, matcher.highlight(text), self._doing(action), text=text, help=action.help)
        for command in self.commands():
            text = f":{command.name} {command.arguments}"
            score = matcher.match(text) or (_BY_HELP if query.casefold() in command.help.casefold() else 0)
            if score > 0:
                begin = partial(self.dashboard.action_command, f"{command.name} ")
                yield Hit(score, Content(text), begin, text=text, help=command.help)
        if len(query) < 3:
            return
        wanted = parse_filter(f'"{query.replace(chr(34), "")}"'.replace(":", " "))
        found = (
            job
            for job_id in islice(self.dashboard.index, _LOOKED_AT)
            if (job := self.dashboard.store.jobs.get(job_id)) is not None and wanted.matches(job)
        )
        for job in islice(found, _JOBS):
            text = clean(f"Job {job.title}")
            detail = clean(f"{job.state} · {job.app_version_id} · {job.job_id}")
            yield Hit(
                0.1,
                Content(text),
                partial(self.dashboard.open_job, job.job_id),
                text=text,
                help=escape(detail),
            )

    def _doing(self, action: Action) -> partial[None]:
        return partial(self.dashboard.perform, action)
