"""The rules of the queue: pauses, limits and weights, kept in the settings and followed by every leader."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bus_schemas.base import LABEL_RULE, is_label
from bus_schemas.jobs import capability_of
from bus_schemas.rules import LimitRequest, OrgRule, PauseMark, PauseRequest, QueueRules, ResumeRequest
from qgjob.bus.connect import Bus
from qgjob.clock import Clock
from qgjob.domain.placement.events import RulesChanged
from qgjob.domain.placement.rules import Pause, Rules
from qgjob.errors import BadMessageError, RefusedError
from qgjob.scheduler.dispatch.setting import Setting

log = logging.getLogger(__name__)

KEY: Final = "rules"
MAX_RULES: Final = 1000


@dataclass(slots=True)
class RuleBook:
    """The queue's rules, as one reign keeps them."""

    bus: Bus
    clock: Clock
    feed: Callable[..., None]
    rules: QueueRules = field(default_factory=QueueRules)
    _setting: Setting = field(init=False)

    def __post_init__(self) -> None:
        self._setting = Setting(self.bus, KEY, self._apply)

    async def load(self) -> None:
        """Read the rules as they are; what cannot be read stops nobody."""
        await self._setting.load()

    async def run(self) -> None:
        """Follow what others write, until cancelled."""
        await self._setting.run()

    async def pause(self, data: bytes) -> QueueRules:
        """The control verb `queue_pause`."""
        request = PauseRequest.decode(data)
        place = (request.org_id, _capability(request.capability))
        mark = PauseMark(
            org_id=place[0], capability=place[1], by=request.by, at=self.clock.now(), note=request.note
        )

        def change(rules: QueueRules) -> QueueRules:
            same = next((p for p in rules.pauses if _place(p) == place), None)
            if same is not None and request.note in {None, same.note}:
                return rules
            others = tuple(p for p in rules.pauses if _place(p) != place)
            return rules.model_copy(update={"pauses": (*others, mark)})

        return await self._change(change)

    async def resume(self, data: bytes) -> QueueRules:
        """The control verb `queue_resume`."""
        request = ResumeRequest.decode(data)
        place = (request.org_id, _capability(request.capability))

        def change(rules: QueueRules) -> QueueRules:
            left = tuple(p for p in rules.pauses if _place(p) != place)
            return rules if len(left) == len(rules.pauses) else rules.model_copy(update={"pauses": left})

        return await self._change(change)

    async def limit(self, data: bytes) -> QueueRules:
        """The control verb `queue_limit`."""
        request = LimitRequest.decode(data)

        def change(rules: QueueRules) -> QueueRules:
            before = next((o for o in rules.orgs if o.org_id == request.org_id), None)
            max_running = request.max_running or (before.max_running if before else None)
            weight = request.weight or (before.weight if before else None)
            after = OrgRule(
                org_id=request.org_id,
                max_running=None if request.unlimited else max_running,
                weight=None if weight == 1 else weight,
            )
            if after == (before or OrgRule(org_id=request.org_id)):
                return rules
            others = [o for o in rules.orgs if o.org_id != request.org_id]
            says = after.max_running is not None or after.weight is not None
            orgs = sorted([*others, after] if says else others, key=lambda o: o.org_id)
            return rules.model_copy(update={"orgs": tuple(orgs)})

        return await self._change(change)

    async def _change(self, change: Callable[[QueueRules], QueueRules]) -> QueueRules:
        """Write what a change makes of the rules, by compare-and-set, and put it into force."""

        def after() -> bytes | None:
            rules = change(self.rules)
            if rules is self.rules:
                return None
            if len(rules.pauses) + len(rules.orgs) > MAX_RULES:
                raise RefusedError(f"There are {MAX_RULES} pauses and limits already; lift some first.")
            return rules.model_copy(update={"changed": False}).encode()

        changed = await self._setting.change(
            after, "The rules are being changed by somebody else; try again."
        )
        return self.rules.model_copy(update={"changed": changed})

    def _apply(self, data: bytes) -> None:
        try:
            self.rules = QueueRules.decode(data)
        except BadMessageError as error:
            log.warning("the rules of the queue cannot be read, those before stay in force: %s", error)
            return
        self.feed(RulesChanged(rules_of(self.rules)))


def rules_of(rules: QueueRules) -> Rules:
    """The rules as the placement core takes them."""
    return Rules(
        pauses=tuple(Pause(p.org_id, p.capability, _whose(p)) for p in rules.pauses),
        limits={o.org_id: o.max_running for o in rules.orgs if o.max_running is not None},
        weights={o.org_id: o.weight for o in rules.orgs if o.weight is not None},
    )


def _whose(pause: PauseMark) -> str:
    return f" by {pause.by}: {pause.note}" if pause.note else f" by {pause.by}"


def _place(pause: PauseMark) -> tuple[str | None, str | None]:
    return (pause.org_id, pause.capability)


def _capability(text: str | None) -> str | None:
    """A capability in its one spelling; raises `BadMessageError` when it is none."""
    if text is None or text == "any":
        return text
    labels = tuple(part for part in text.split("+") if part)
    wrong = next((label for label in labels if not is_label(label)), None)
    if wrong is not None or not labels:
        raise BadMessageError(f"{wrong or text!r} is not a label. {LABEL_RULE}")
    return capability_of(labels)
