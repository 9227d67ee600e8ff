"""Every key of the projection.

| key | type | holds | lives |
|---|---|---|---|
| `job:{id}` | hash | a job as users see it | 24 h after its end |
| `run:{id}` | hash | a run and how many of its jobs are in which state | 24 h after its last end |
| `run:{id}:jobs` | sorted set | jobs of a run by their position | as its run |
| `jobs:high`, `jobs:medium`, `jobs:low` | sorted sets | jobs not started, by when they are due | as jobs |
| `agent:{id}` | hash | the last heartbeat of an agent | 5 minutes |
| `qgjob:idx:…` | sorted sets | jobs by org, version, state; what is due; what ended | as jobs |
| `qgjob:projection` | hash | how far the stream of events is projected | for ever |

Ids stand in keys as their subject tokens: as they are, unless they hold characters that would
make one key look like another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bus_schemas.subjects import PRIORITY_CLASSES, PriorityClass
from bus_schemas.tokens import encode_token

ENDED_KEPT_S: Final = 24 * 3600
"""How long a job and its run are kept after their end."""
LIVE_KEPT_S: Final = 40 * 24 * 3600
"""How long what never ends is kept, and a sorted set that nobody writes to."""
AGENT_KEPT_S: Final = 5 * 60


@dataclass(frozen=True, slots=True)
class Keys:
    """Builds key names; `prefix` stands before each, for a store that is shared."""

    prefix: str = ""

    @property
    def position(self) -> str:
        """How far the projection is; its absence means that the store was wiped."""
        return f"{self.prefix}qgjob:projection"

    def job(self, job_id: str) -> str:
        """A job."""
        return f"{self.prefix}job:{encode_token(job_id)}"

    def run(self, run_id: str) -> str:
        """A run."""
        return f"{self.prefix}run:{encode_token(run_id)}"

    def run_jobs(self, run_id: str) -> str:
        """The jobs of a run by position."""
        return f"{self.prefix}run:{encode_token(run_id)}:jobs"

    def agent(self, name: str) -> str:
        """An agent."""
        return f"{self.prefix}agent:{encode_token(name)}"

    def waiting(self, priority: PriorityClass) -> str:
        """The jobs of a priority class that have not started, by when they are due."""
        return f"{self.prefix}jobs:{priority}"

    @property
    def all_jobs(self) -> str:
        """Every job, by the place of its first event in the stream."""
        return f"{self.prefix}qgjob:idx:all"

    def of_org(self, org_id: str) -> str:
        """The jobs of an organisation."""
        return f"{self.prefix}qgjob:idx:org:{encode_token(org_id)}"

    def of_version(self, app_version_id: str) -> str:
        """The jobs of a build, of any organisation."""
        return f"{self.prefix}qgjob:idx:version:{encode_token(app_version_id)}"

    def in_state(self, state: str) -> str:
        """The jobs in a state."""
        return f"{self.prefix}qgjob:idx:state:{state}"

    @property
    def due(self) -> str:
        """Delayed jobs, by the time at which they may start."""
        return f"{self.prefix}qgjob:idx:due"

    @property
    def ended(self) -> str:
        """What each ended job left in the indices, by the time of its end."""
        return f"{self.prefix}qgjob:idx:ended"

    def patterns(self) -> list[str]:
        """Patterns (for SCAN) that match all keys made from the stream of events, and no agent."""
        prefix = _literal(self.prefix)
        waiting = [f"{prefix}jobs:{name}" for name in PRIORITY_CLASSES]
        return [f"{prefix}job:*", f"{prefix}run:*", f"{prefix}qgjob:idx:*", *waiting]


def _literal(text: str) -> str:
    return "".join(f"\\{c}" if c in "*?[]\\^" else c for c in text)
