"""The rules of the queue: pauses, limits and weights, kept in the settings and followed by every leader."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bus_schemas.base import LABEL_RULE, is_label
from bus_schemas.jobs import capability_of
from bus_schemas.rules import LimitRequest, OrgRule, PauseMark, PauseRequest, QueueRules, ResumeRequest
from bus_schemas.streams import SETTINGS_BUCKET
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.follow import follow
from qgjob.bus.publish import lost_compare
from qgjob.bus.requester import JsError
from qgjob.clock import Clock
from qgjob.domain.placement.gates import Pause, Rules
from qgjob.domain.placement.model import RulesChanged
from qgjob.errors import BadMessageError, RefusedError

log = logging.getLogger(__name__)

KEY: Final = "rules"
MAX_RULES: Final = 1000
_TRIES: Final = 10


@dataclass(slots=True)
class RuleBook:
    """Within one reign."""

    bus: Bus
    clock: Clock
    feed: Callable[..., None]
    rules: QueueRules = field(default_factory=QueueRules)
    _revision: int = 0

    async def recall(self) -> None:
        """Read the rules as they are; what cannot be read stops nobody."""
        stored = await kv.get(self.bus, SETTINGS_BUCKET, KEY)
        if stored is not None and not stored.deleted:
            self._adopt(stored.data, stored.seq)

    async def run(self) -> None:
        """Follow what others write, until cancelled: an old leader may have a last word."""
        subject = kv.key_subject(SETTINGS_BUCKET, KEY)
        async for batch in follow(self.bus, f"KV_{SETTINGS_BUCKET}", [subject], last_per_subject=True):
            for message in batch:
                self._adopt(b"{}" if message.deleted else message.data, message.seq)

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
        for _ in range(_TRIES):
            after = change(self.rules)
            if after is self.rules:
                return after.model_copy(update={"changed": False})
            if len(after.pauses) + len(after.orgs) > MAX_RULES:
                raise RefusedError(f"There are {MAX_RULES} pauses and limits already; lift some first.")
            data = after.model_copy(update={"changed": False}).encode()
            try:
                seq = await kv.put(self.bus, SETTINGS_BUCKET, KEY, data, expected=self._revision)
            except JsError as error:
                if not lost_compare(error):
                    raise
                await self.recall()
                continue
            self._adopt(data, seq)
            return after.model_copy(update={"changed": True})
        raise RefusedError("The rules are being changed by somebody else; try again.")

    def _adopt(self, data: bytes, seq: int) -> None:
        if seq <= self._revision:
            return
        self._revision = seq
        try:
            self.rules = QueueRules.decode(data)
        except BadMessageError as error:
            log.warning("the rules of the queue cannot be read, those before stay in force: %s", error)
            return
        self.feed(RulesChanged(rules_of(self.rules)))


def rules_of(rules: QueueRules) -> Rules:
    """The rules as the placement core takes them."""
    return Rules(
        pauses=tuple(Pause(p.org_id, p.capability) for p in rules.pauses),
        limits={o.org_id: o.max_running for o in rules.orgs if o.max_running is not None},
        weights={o.org_id: o.weight for o in rules.orgs if o.weight is not None},
    )


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
