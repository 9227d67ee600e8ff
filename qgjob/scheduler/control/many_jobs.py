"""Requests that name several jobs: carried out for each of them, as if it had been asked for alone."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

from bus_schemas.control import BulkRequest, CtlAnswer, Refusal, together
from qgjob.errors import BadMessageError, NotFoundError, RefusedError
from qgjob.scheduler.control.bulk import Act, Carrying
from qgjob.scheduler.slices import gathered

_AT_ONCE: Final = 50


def for_each(act: Act) -> Act:
    """The same verb, also for requests that name several jobs: one that is refused stops no other."""

    async def carry_out(data: bytes, carrying: Carrying) -> CtlAnswer:
        request = BulkRequest.decode(data)
        if not request.also:
            return await act(data, carrying)
        names = list(dict.fromkeys((request.id, *request.also)))
        await carrying.concerns(len(names))
        await carrying.outlive()
        said: dict[str, Any] = json.loads(data)
        del said["also"]

        async def one(name: str) -> CtlAnswer:
            alone = json.dumps({**said, "id": name}).encode()
            answer = await _answered(act, name, replace(carrying, data=alone, total=0, done=0))
            carrying.done += 1
            return answer

        return together(await gathered(names, one, _AT_ONCE))

    return carry_out


async def _answered(act: Act, name: str, carrying: Carrying) -> CtlAnswer:
    try:
        answer = await act(carrying.data, carrying)
    except (BadMessageError, NotFoundError, RefusedError) as error:
        return CtlAnswer(refused=(Refusal(ids=(name,), message=error.message),))
    if answer == CtlAnswer():  # a job that a retry does not want; who asked is to hear of each
        return CtlAnswer(already=(name,))
    return answer
