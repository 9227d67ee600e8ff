"""A bounded in-memory cache of documents, which reads missing ones from the store."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, cast

from qgjob.domain.history import JobDoc
from qgjob.errors import BadMessageError
from qgjob.store.connect import Store
from qgjob.store.documents import RunDoc, read_job
from qgjob.store.indices import Footprint, footprint
from qgjob.store.scripts import LOAD

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_CACHED: Final = 50_000
_KEYS_A_READ: Final = 1000


@dataclass(slots=True)
class CachedJob:
    """A job's document, and what the store's indices hold of it."""

    doc: JobDoc
    mark: Footprint | None


class Documents:
    """Jobs and runs by id, the least recently touched leaving first."""

    def __init__(self, store: Store, *, limit: int = MAX_CACHED) -> None:
        self._store = store
        self._limit = limit
        self.jobs: OrderedDict[str, CachedJob] = OrderedDict()
        self.runs: OrderedDict[str, RunDoc] = OrderedDict()

    async def load_missing(self, job_ids: Collection[str], run_ids: Collection[str]) -> None:
        """Read what is not in memory; what the store does not know either stays absent."""
        keys = self._store.keys
        jobs = [i for i in job_ids if i not in self.jobs]
        runs = [i for i in run_ids if i not in self.runs]
        if jobs:
            found = await load(self._store, {i: keys.job(i) for i in jobs}, read_job)
            for job_id, doc in found.items():
                self.jobs[job_id] = CachedJob(doc, footprint(doc))
        if runs:
            self.runs.update(await load(self._store, {i: keys.run(i) for i in runs}, RunDoc.from_fields))
        for job_id in job_ids:
            if job_id in self.jobs:
                self.jobs.move_to_end(job_id)
        for run_id in run_ids:
            if run_id in self.runs:
                self.runs.move_to_end(run_id)

    def trim(self) -> None:
        """Let the least recently touched go, over the limit."""
        while len(self.jobs) > self._limit:
            self.jobs.popitem(last=False)
        while len(self.runs) > self._limit:
            self.runs.popitem(last=False)

    def clear(self) -> None:
        """Forget everything: the store may say something else now."""
        self.jobs.clear()
        self.runs.clear()


async def load(store: Store, keys: Mapping[str, str], read: Callable[[Mapping[str, str]], T]) -> dict[str, T]:
    """Read hashes by their keys and return those that are there, under the same names.

    What is there but cannot be read is left out, with a warning. Raises `QgjobError` when the
    store does not answer.
    """
    found: dict[str, T] = {}
    names = list(keys)
    for start in range(0, len(names), _KEYS_A_READ):
        some = names[start : start + _KEYS_A_READ]
        async with store.asking():
            script = store.script(LOAD)
            rows = cast("Sequence[Sequence[str]]", await script(keys=[keys[name] for name in some]))
        for name, row in zip(some, rows, strict=True):
            if not row:
                continue
            try:
                found[name] = read(dict(zip(row[::2], row[1::2], strict=True)))
            except BadMessageError as error:
                log.warning("%s: %s", keys[name], error)
    return found
