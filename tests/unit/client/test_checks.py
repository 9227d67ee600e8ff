"""What a caller says is checked before anything is sent, and said to be wrong in a sentence."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, cast

import pytest

from qgjob.bus.connect import Bus, ServerOptions, connect
from qgjob.client.requests import control, lab, query
from qgjob.client.submitting import crons
from qgjob.errors import UsageError

NOWHERE = cast("Bus", None)
"""Nothing is sent."""
LONG = "x" * 5000
JOB = "j_00000000000000000000000000"


@pytest.mark.parametrize(
    "asked",
    [
        lambda: control.cancel(NOWHERE, JOB, reason=LONG),
        lambda: control.reprioritise(NOWHERE, JOB, 11),
        lambda: control.pause(NOWHERE, org_id=LONG),
        lambda: control.resume(NOWHERE, capability=LONG),
        lambda: control.limit(NOWHERE, "a", max_running=0),
        lambda: lab.hold(NOWHERE, "pause", ""),
        lambda: lab.resume_build(NOWHERE, "", "v"),
        lambda: crons.delete(NOWHERE, ""),
        lambda: query.history(NOWHERE, LONG, None, 50),
        lambda: query.jobs(NOWHERE, org_id=""),
        lambda: query.jobs(NOWHERE, offset=2**63),
    ],
)
async def test_what_cannot_be_asked_is_an_error_in_its_use(asked: Any):
    wanted = cast("Coroutine[Any, Any, object]", asked())
    with pytest.raises(UsageError, match="is not valid: "):
        await wanted


@pytest.mark.parametrize("field", ["tls_ca", "tls_cert", "tls_key"])
async def test_a_file_that_is_no_certificate_is_said(field: str, tmp_path: Any):
    (tmp_path / "no.pem").write_text("no certificate")
    with pytest.raises(UsageError, match=r"no\.pem"):
        await connect(replace(ServerOptions(), **{field: str(tmp_path / "no.pem")}))
