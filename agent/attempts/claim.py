"""Claims an attempt through its claim chain, and records its one end.

A slot that loses a compare-and-set never acknowledges the message; one that recorded the end, or found it
recorded, does.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
import time
from dataclasses import dataclass
from typing import Final, Literal

from agent.attempts.identity import Identity
from bus_schemas.events import (
    Attempt,
    Cancelling,
    ChainLink,
    Ended,
    EndState,
    Phase,
    Started,
    TakenOver,
    about,
)
from bus_schemas.jobs import JobMessage
from qgjob.bus.chain import CHAIN_TTL, END_HEADERS, chain_subject, ended_event, read_chain
from qgjob.bus.connect import Bus
from qgjob.bus.publish import expect, lost_compare
from qgjob.bus.requester import JsError, RequestTimeoutError
from qgjob.domain.retry import DOWN, POISONOUS, all_downed, is_poisonous, next_attempt, poison_text
from qgjob.errors import QgjobError, UnreachableError

MAX_TAKEOVERS: Final = 5
_PATIENCE_S: Final = 180.0
"""How long a result is kept while the server is away: restarts and elections are shorter."""
_PAUSE_S: Final = 0.2
_TRY_TIMEOUT_S: Final = 2.0

EndOutcome = Literal["recorded", "ended_before", "lost"]
"""Our end is recorded; another end was there; another slot holds the attempt now."""


@dataclass(slots=True)
class Claim:
    """An attempt held by this slot."""

    bus: Bus
    message: JobMessage
    who: Identity
    subject: str
    nonce: str
    seq: int
    takeovers: int
    started_at: float
    lost: tuple[str, ...] = ()
    """Slots that held it before and were lost."""
    link: Started | None = None
    """What we wrote last."""

    async def give_up(self) -> None:
        """Mark the chain as released by us, so that whoever takes it over does not count us as lost."""
        if self.link is None:
            return
        left = self.link.model_copy(update={"left": True})
        with contextlib.suppress(JsError, QgjobError):  # the next holder then counts us as lost
            await self.bus.requests.publish(
                self.subject,
                left.encode(),
                headers={**expect(self.seq), **CHAIN_TTL},
                timeout=_TRY_TIMEOUT_S,
            )

    async def end(self, state: EndState, result: Attempt, *, retryable: bool = True) -> EndOutcome:
        """Record the end. A cancel that was appended meanwhile makes it `cancelled`.

        `retryable`: whether an infrastructure error may be tried again on another slot.
        """
        ended = self._ended(state, result, retryable=retryable)
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            try:
                await self.bus.requests.publish(
                    self.subject,
                    ended.encode(),
                    headers={**expect(self.seq), **END_HEADERS},
                    timeout=_TRY_TIMEOUT_S,
                )
            except (RequestTimeoutError, UnreachableError):
                await asyncio.sleep(_PAUSE_S)
                continue  # whether it was stored, the next try tells
            except JsError as error:
                if not lost_compare(error):
                    await asyncio.sleep(_PAUSE_S)  # no stream leader, no space: a result must not be lost
                    continue
                link, seq = await read_chain(self.bus, self.subject)
                if isinstance(link, Ended):
                    return "recorded" if link.nonce == self.nonce else "ended_before"
                if isinstance(link, Cancelling) and nonce_of_holder(link) == self.nonce:
                    cancelled = result.model_copy(
                        update={"outcome": "cancelled", "reason": "cancelled", "message": link.reason}
                    )
                    ended, self.seq = self._ended("cancelled", cancelled, retryable=False), seq
                    continue
                if link is None or (isinstance(link, Started) and link.nonce == self.nonce):
                    self.seq = seq
                    continue
                return "lost"
            return "recorded"
        raise RequestTimeoutError(f"the end of {self.message.spec.job_id} could not be recorded")

    def _ended(self, state: EndState, result: Attempt, *, retryable: bool) -> Ended:
        down = (*self.lost, self.who.name) if result.reason in DOWN else self.lost
        follow_up = next_attempt(self.message, state, self.who.name, retryable=retryable, downed=down)
        all_down = all_downed(self.message, down)
        if state == "errored" and retryable and is_poisonous(all_down):
            text = "; ".join(part for part in (result.message, poison_text(all_down)) if part)
            result = result.model_copy(update={"reason": POISONOUS, "message": text[:4000]})
        return ended_event(
            self.message,
            state,
            result,
            at=time.time(),
            nonce=self.nonce,
            following=follow_up,
            retryable=retryable,
        )


def new_nonce() -> str:
    """An id for a claim."""
    return secrets.token_hex(8)


async def claim(
    bus: Bus,
    message: JobMessage,
    who: Identity,
    phase: Phase,
    *,
    nonce: str | None = None,
    ours_until: float = math.inf,
) -> Claim | None:
    """Claim an attempt whose message the work stream delivered to us.

    None when there is nothing to run: it has ended, or is ended now because it was cancelled or
    was taken over too often; its message is to be acknowledged. `ours_until`: by the event loop's clock,
    until when nobody else was given it. Whoever holds it later is not taken over from: `RequestTimeoutError`.
    """
    subject, nonce = chain_subject(message), nonce or new_nonce()
    seq, takeovers = 0, 0
    lost: tuple[str, ...] = ()
    started_at = time.time()
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        link = _link(message, who, phase, nonce, takeovers, started_at, lost)
        try:
            ack = await bus.requests.publish(
                subject, link.encode(), headers={**expect(seq), **CHAIN_TTL}, timeout=_TRY_TIMEOUT_S
            )
        except (RequestTimeoutError, UnreachableError):
            await asyncio.sleep(_PAUSE_S)
            continue
        except JsError as error:
            if not lost_compare(error):
                raise
        else:
            return Claim(bus, message, who, subject, nonce, ack.seq, takeovers, started_at, lost, link)
        there, seq = await read_chain(bus, subject)
        held = Claim(bus, message, who, subject, nonce, seq, takeovers, started_at, lost, link)
        if there is None:
            continue
        if isinstance(there, Ended):
            return None
        if isinstance(there, Cancelling):
            await held.end("cancelled", _not_run(message, who, "cancelled", "cancelled", there.reason))
            return None
        if there.nonce == nonce:
            return held
        if asyncio.get_running_loop().time() >= ours_until:
            raise RequestTimeoutError(f"{there.agent}/{there.slot} holds it since our lease is over")
        takeovers, lost = there.takeovers + 1, _lost(there, who)
        held.takeovers, held.lost = takeovers, lost
        if await _given_up(held):
            return None
    raise RequestTimeoutError(f"{message.spec.job_id} could not be claimed")


async def _given_up(held: Claim) -> bool:
    """End an attempt that too many slots have lost; False when this one may take it over."""
    message, who = held.message, held.who
    if is_poisonous(all_downed(message, held.lost)):
        await held.end("errored", _not_run(message, who, "errored", POISONOUS, ""))
    elif held.takeovers > MAX_TAKEOVERS:
        text = f"{held.takeovers} slots in turn lost hold of it"
        await held.end("errored", _not_run(message, who, "errored", "takeovers", text), retryable=False)
    else:
        return False
    return True


def nonce_of_holder(link: ChainLink) -> str | None:
    """The nonce of the claim that holds an attempt, or that wrote its end; None when nobody held it."""
    if isinstance(link, Cancelling):
        return link.holder.nonce if link.holder else None
    return link.nonce


def _link(
    message: JobMessage,
    who: Identity,
    phase: Phase,
    nonce: str,
    takeovers: int,
    at: float,
    lost: tuple[str, ...],
) -> Started | TakenOver:
    kind = TakenOver if takeovers else Started
    spec = message.spec
    return kind(
        **about(spec, message.attempt, at),
        nonce=nonce,
        agent=who.agent,
        slot=who.slot,
        device=who.device,
        app_version_id=spec.app_version_id,
        phase=phase,
        takeovers=takeovers,
        lost=lost,
    )


def _lost(there: Started, who: Identity) -> tuple[str, ...]:
    """The slots that were lost with the attempt, the last holder included unless it let go by itself."""
    holder = f"{there.agent}/{there.slot}"
    if there.left or holder == who.name or holder in there.lost:
        return there.lost
    return (*there.lost, holder)


def _not_run(message: JobMessage, who: Identity, outcome: EndState, reason: str, text: str) -> Attempt:
    return Attempt(
        number=message.attempt,
        agent=who.agent,
        slot=who.slot,
        device=who.device,
        finished_at=time.time(),
        outcome=outcome,
        reason=reason,
        message=text,
    )
