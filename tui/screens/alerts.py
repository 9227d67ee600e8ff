"""What is wrong with the lab just now, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from textual.binding import BindingType
from textual.widget import Widget

from tui.actions.bindings import Action, bindings
from tui.operations import catalog
from tui.operations.catalog import Operation
from tui.screens.live import PANEL_FRAME, LiveScreen
from tui.store.store import Changes, Store
from tui.store.troubles import Trouble
from tui.toasts import reply
from tui.widgets.table import LineTable
from tui.widgets.trouble_table import AdviceCard, TroubleTable

_CARD_SHARE: Final = 2


class AlertsScreen(LiveScreen):
    """Every trouble by itself; Enter shows the slots or jobs that it is about."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("alerts")
    AUTO_FOCUS = "#troubles"
    DEFAULT_CSS = """
    AlertsScreen #troubles { height: 1fr; }
    AlertsScreen #advice { height: 6; }
    """

    def __init__(self, store: Store, *, read_only: bool) -> None:
        super().__init__("alerts", store, read_only=read_only)
        self.table = self.main = TroubleTable(store, "troubles")
        self._advice = AdviceCard("advice")
        self._can_resume = False

    def body(self) -> Iterable[Widget]:
        """The table above the card."""
        yield self.table
        yield self._advice

    def update(self, changes: Changes) -> None:
        """Draw what changed."""
        super().update(changes)
        if changes.second or changes.overview or changes.lab or changes.link:
            self.table.sync()
            self._tell()

    def on_resize(self) -> None:
        """The advice may take another height."""
        self._tell()

    def on_line_table_moved(self) -> None:
        """Another one is under the cursor."""
        self._tell()

    def on_line_table_opened(self, event: LineTable.Opened) -> None:
        """Show the slots or the jobs that it is about."""
        event.stop()
        trouble = self.table.trouble()
        if trouble is not None and trouble.slots:
            self.dashboard.open_slots(trouble.slots.strip())
        elif trouble is not None and trouble.filter:
            self.dashboard.show_filtered(trouble.filter)
        else:
            reply(self, "It is about no slot and no job.")

    def action_let_go(self) -> None:
        """Let the slot, the build or the part of the queue work again."""
        trouble = self.table.trouble()
        operation = _resume_operation(trouble) if trouble is not None else None
        if operation is not None:
            self.confirm(operation)

    def action_copy(self) -> None:
        """Copy what is wrong, as it is said."""
        trouble = self.table.trouble()
        self.dashboard.copy(trouble.text if trouble is not None else "")

    def action_back(self) -> None:
        """Back to where one came from."""
        self.dashboard.go_back()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out letting go where nothing is held."""
        may = super().check_action(action, parameters)
        return None if may and action == "let_go" and not self._can_resume else may

    def refusal(self, action: Action) -> str:
        """Of what is held by nobody, say that nobody can let it go."""
        nothing = action.method == "action_let_go" and self.dashboard.can_mutate
        return "Nothing is held here that could be let go." if nothing else super().refusal(action)

    def _tell(self) -> None:
        trouble = self.table.trouble()
        self._advice.show(trouble)
        wanted = self._advice.wanted_height(max(20, self.size.width - PANEL_FRAME))
        self._advice.set_lines(min(max(3, wanted), max(3, self.size.height // _CARD_SHARE)))
        can = trouble is not None and bool(trouble.held)
        if can != self._can_resume:
            self._can_resume = can
            self.refresh_bindings()


def _resume_operation(trouble: Trouble) -> Operation | None:
    match trouble.held:
        case "slot":
            return catalog.slots("agents resume", trouble.names)
        case "build":
            return catalog.build(*trouble.names)
        case "queue":
            return catalog.queue("resume", *trouble.names)
        case _:
            return None
