"""Every message of the bus in one table: for the JSON Schema export and the golden tests."""

from __future__ import annotations

from bus_schemas.agents import Binding, CancelAttempt, Heartbeat, Hello, SlotNext
from bus_schemas.base import Message
from bus_schemas.builds import BuildRecord
from bus_schemas.cases import CaseReport
from bus_schemas.control import CancelRequest, CtlAnswer, Order, ReprioritiseRequest, RetryRequest
from bus_schemas.crons import CronAnswer, CronDelete, CronList, CronPlan, CronView
from bus_schemas.deadletters import (
    DeadLetter,
    DeadLettersAnswer,
    DeadLettersDrop,
    DeadLettersDropped,
    DeadLettersQuery,
)
from bus_schemas.events import (
    Cancelling,
    Ended,
    Preparing,
    Progress,
    Queued,
    Refused,
    Released,
    Reprioritised,
    Retrying,
    Running,
    Started,
    TakenOver,
)
from bus_schemas.explain import ExplainAnswer, ExplainRequest
from bus_schemas.history import (
    DurationsAnswer,
    DurationsQuery,
    HistoryAnswer,
    HistoryQuery,
    Learned,
    OutcomeRecord,
)
from bus_schemas.jobs import JobMessage, RunMarker
from bus_schemas.lab import BuildResumeRequest, HoldOrder, LabHealth, SlotHolds, SlotsAnswer, SlotsRequest
from bus_schemas.logs import LogChunk, LogsAnswer, LogsQuery
from bus_schemas.queries import (
    AgentsAnswer,
    GetAnswer,
    GetQuery,
    HealthAnswer,
    ListAnswer,
    ListQuery,
    Overview,
    Query,
)
from bus_schemas.rules import LimitRequest, PauseRequest, PriorityMark, QueueRules, ResumeRequest
from bus_schemas.timings import TimingsAnswer, TimingsRequest

MESSAGES: tuple[type[Message], ...] = (
    JobMessage,
    RunMarker,
    BuildRecord,
    CaseReport,
    Queued,
    Released,
    Started,
    TakenOver,
    Cancelling,
    Ended,
    Preparing,
    Running,
    Progress,
    Retrying,
    Reprioritised,
    Refused,
    Hello,
    SlotNext,
    Binding,
    CancelAttempt,
    Heartbeat,
    LogChunk,
    DeadLetter,
    DeadLettersQuery,
    DeadLettersAnswer,
    DeadLettersDrop,
    DeadLettersDropped,
    Learned,
    OutcomeRecord,
    HistoryQuery,
    HistoryAnswer,
    DurationsQuery,
    DurationsAnswer,
    CancelRequest,
    CtlAnswer,
    Order,
    QueueRules,
    PauseRequest,
    ResumeRequest,
    LimitRequest,
    ReprioritiseRequest,
    PriorityMark,
    RetryRequest,
    CronPlan,
    CronView,
    CronDelete,
    CronList,
    CronAnswer,
    SlotsRequest,
    SlotsAnswer,
    BuildResumeRequest,
    SlotHolds,
    HoldOrder,
    LabHealth,
    ExplainRequest,
    ExplainAnswer,
    GetQuery,
    GetAnswer,
    ListQuery,
    ListAnswer,
    LogsQuery,
    LogsAnswer,
    Overview,
    AgentsAnswer,
    HealthAnswer,
    Query,
    TimingsRequest,
    TimingsAnswer,
)
"""Every message that travels on the bus: each has golden JSON and a JSON Schema."""
