from __future__ import annotations

import asyncio
import io
import json
import re
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from qgjob.local.system import LocalSystem, UpOptions
from tests.support.http import Answer, Http
from tests.support.pipeline import system
from tests.support.standstill import standing_still
from tests.support.wait import wait_for


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalSystem]:
    async with system(tmp_path_factory.mktemp("up"), http=True, agents=1) as (running, _):
        yield running


@pytest.fixture(scope="module")
def http(running: LocalSystem) -> Http:
    assert running.http is not None
    return Http(running.http)


def packed(**files: str) -> bytes:
    stored = io.BytesIO()
    with tarfile.open(fileobj=stored, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(f"{name}.py")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return stored.getvalue()


def submission(**more: Any) -> dict[str, Any]:
    return {"org_id": "acme", "app_version_id": "v1", "test_path": "t.py", "runner": "noop", **more}


@pytest.mark.asyncio(loop_scope="module")
class TestGateway:
    async def test_a_bundle_runs_from_its_upload_to_its_log(self, http: Http):
        stored = await http.post("/api/bundles", packed(t="print('sage\\nü')"))
        assert (stored.status, stored.json["bundle"]) == (201, stored.json["digest"])
        body = submission(bundle=stored.json["bundle"], runner="command", argv=["python3", "{test}"])
        submitted = await http.post("/api/jobs/submit", body)
        assert submitted.status == 202
        (job,) = submitted.json["jobs"]
        log = await http.get(f"/api/jobs/{job['job_id']}/logs?follow=true")
        assert (log.status, log.body.decode()) == (200, "sage\nü\n")
        last = await http.get(f"/api/jobs/{job['job_id']}/logs?tail=1")
        assert (last.status, last.body.decode()) == (200, "ü\n")
        assert (await http.get(f"/api/jobs/{job['job_id']}/logs?tail=0")).status == 422
        assert log.headers["content-type"] == "text/plain; charset=utf-8"
        ended = await http.ended(job["job_id"])
        assert (ended["state"], ended["attempts"][0]["exit_code"]) == ("passed", 0)
        run = await http.get(f"/api/jobs/{submitted.json['run_id']}")
        assert run.json["counts"] == {"passed": 1}

    async def test_a_repeated_submit_with_a_key_adds_nothing(self, http: Http):
        body = submission(tests=["a.py", "b.py"], run_key="once")
        del body["test_path"]
        first, again = [await http.post("/api/jobs/submit", body) for _ in range(2)]
        assert first.json["run_id"] == again.json["run_id"]
        assert [first.json["accepted_before"], again.json["accepted_before"]] == [False, True]
        await asyncio.gather(*(http.ended(job["job_id"]) for job in first.json["jobs"]))

        async def listed() -> bool:
            answer = await http.get(f"/api/jobs?run_id={first.json['run_id']}")
            assert {job["test"] for job in answer.json["jobs"]} == {"a.py", "b.py"}
            return True

        await wait_for(listed, 10, "what was queued to be told of, which may be after its end")

    async def test_a_waiting_job_is_cancelled(self, http: Http):
        body = submission(requires=["nobody-has-this"])
        (job,) = (await http.post("/api/jobs/submit", body)).json["jobs"]

        async def known() -> bool:
            return (await http.get(f"/api/jobs/{job['job_id']}")).status == 200

        await wait_for(known)
        cancelled = await http.post(f"/api/jobs/{job['job_id']}/cancel", {"reason": "not needed"})
        assert (cancelled.status, cancelled.json["affected"]) == (200, [job["job_id"]])
        assert (await http.ended(job["job_id"]))["state"] == "cancelled"
        again = await http.post(f"/api/jobs/{job['job_id']}/cancel")
        assert again.json == {"affected": [], "already": [job["job_id"]]}

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"priority": 11}, "priority"),
            ({"priority": "urgent"}, "priority"),
            ({"priority": True}, "priority"),
            ({"timeout": True}, "timeout"),
            ({"retries": False}, "retries"),
            ({"test_path": "../t.py"}, "test_path"),
            ({"test_path": "/t.py"}, "test_path"),
            ({"test_path": None, "tests": ["t.py", "a/../../t.py"]}, "tests.1"),
            ({"test_path": None, "tests": "t.py"}, "tests"),
            ({"prio": 3}, "prio"),
            ({"target": "toaster"}, "target"),
            ({"org_id": ""}, "org_id"),
            ({"timeout": "soon"}, "timeout"),
            ({"requires": ["Two Words"]}, "requires.0"),
            ({"env": {"1X": "y"}}, "env.1X.[key]"),
            ({"tests": ["a", "b"]}, ""),
            ({"test_path": None}, ""),
            ({"at": "tomorrow"}, "at"),
            ({"at": 12}, "at"),
            ({"shards": 0}, "shards"),
            ({"concurrency_key": ""}, "concurrency_key"),
            ({"matrix": ["Not A Label"]}, "matrix.0"),
        ],
    )
    async def test_a_wrong_value_is_named(self, http: Http, change: dict[str, Any], field: str):
        refused = await http.post("/api/jobs/submit", submission(**change))
        assert (refused.status, refused.headers["content-type"]) == (422, "application/problem+json")
        assert refused.json["errors"][0]["field"] == field
        assert refused.json["detail"]

    @pytest.mark.parametrize("value", ["", "x" * 300])
    @pytest.mark.parametrize(
        ("path", "field"),
        [
            ("/api/jobs?org_id=", "org_id"),
            ("/api/jobs?run_id=", "run_id"),
            ("/api/jobs?app_version_id=", "app_version_id"),
            ("/api/tests/history?test=t&org_id=", "org_id"),
            ("/api/jobs?offset=99999999999999999999", "offset"),
        ],
    )
    async def test_what_can_be_no_id_is_named(self, http: Http, path: str, field: str, value: str):
        refused = await http.get(path + value)
        assert (refused.status, refused.json["errors"][0]["field"]) == (422, field)

    async def test_the_words_for_priorities_are_understood(self, http: Http):
        submitted = await http.post("/api/jobs/submit", submission(priority="high", timeout="2m"))
        assert (await http.ended(submitted.json["jobs"][0]["job_id"]))["priority"] == 9

    async def test_what_a_submit_may_say_is_handed_on(self, http: Http):
        said = submission(test_path=None, tests=["a", "b", "c"], shards=2, concurrency_key="main")
        first = await http.post("/api/jobs/submit", said | {"at": "2100-01-01T00:00:00+01:00"})
        assert [job["tests"] for job in first.json["jobs"]] == [["a", "c"], ["b"]]
        second = await http.post("/api/jobs/submit", submission(concurrency_key="main", matrix=[], repeat=2))
        assert [job["variant"] for job in second.json["jobs"]] == ["#1", "#2"]
        over = await http.ended(first.json["jobs"][0]["job_id"])
        assert over["message"] == f"superseded by {second.json['run_id']}"

    async def test_a_test_has_a_history(self, http: Http):
        submitted = await http.post("/api/jobs/submit", submission(test_path="t/once"))
        await http.ended(submitted.json["jobs"][0]["job_id"])

        async def told() -> Answer | None:
            answer = await http.get("/api/tests/history?test=t/once")
            return answer if answer.status == 200 else None

        answer = await wait_for(told)
        assert answer is not None
        assert [o["job_id"] for o in answer.json["outcomes"]] == [submitted.json["jobs"][0]["job_id"]]
        assert (await http.get("/api/tests/history?test=t/never")).status == 404
        assert (await http.get("/api/tests/history")).json["errors"][0]["field"] == "test"

    @pytest.mark.parametrize(
        ("path", "body", "status"),
        [
            ("/api/jobs/submit", b"{", 422),
            ("/api/jobs/submit", b"[" * 100_000, 400),
            ("/api/jobs/submit", b'{"org_id": "' + b"x" * (9 << 20), 413),
            (f"/api/jobs/{'x' * 300}/cancel", b"", 404),
            ("/api/bundles", b"no archive", 422),
            ("/api/bundles", b"", 422),
            ("/api/bundles", b"\x1f\x8b" + bytes(51 << 20), 413),
        ],
    )
    async def test_a_bad_body_is_refused(self, http: Http, path: str, body: bytes, status: int):
        refused = await http.post(path, body, Content_Type="application/json")
        assert (refused.status, refused.json["status"]) == (status, status)

    async def test_what_is_not_there_is_said(self, http: Http):
        absent = "/api/jobs/j_01m870ak83d764jxh3mknhef6q"
        for path in (absent, f"{absent}/logs", f"{absent}/logs?follow=true", "/api/jobs/nonsense", "/nix"):
            answer = await http.get(path)
            assert (path, answer.status, answer.json["title"]) == (path, 404, "Not Found")

    async def test_a_bundle_that_is_not_stored_is_a_wrong_value(self, http: Http):
        unknown = await http.post("/api/jobs/submit", submission(bundle="0" * 64))
        assert (unknown.status, unknown.json["type"]) == (422, "about:blank")
        assert [error["field"] for error in unknown.json["errors"]] == ["bundle"]
        assert "POST /api/bundles" in unknown.json["detail"]

    async def test_a_mistyped_filter_does_not_let_everything_through(self, http: Http):
        refused = await http.get("/api/jobs?stat=failed&limit=2")
        assert (refused.status, refused.json["detail"]) == (422, "stat: there is no such parameter")
        assert [error["field"] for error in refused.json["errors"]] == ["stat"]
        assert (await http.get("/api/jobs?state=failed&limit=2")).status == 200
        assert (await http.get("/docs?again=1")).status == 422

    async def test_a_filter_that_is_given_twice_is_refused(self, http: Http):
        refused = await http.get("/api/jobs?state=failed&state=passed")
        assert (refused.status, refused.json["detail"]) == (422, "state: is given more than once")

    async def test_what_has_an_answer_has_a_head(self, http: Http):
        for path in ("/api/health", "/api/jobs", "/docs"):
            got, head = [await asyncio.to_thread(http.ask, method, path) for method in ("GET", "HEAD")]
            assert (head.status, head.headers["content-type"], head.body) == (
                got.status,
                got.headers["content-type"],
                b"",
            )
        assert (await asyncio.to_thread(http.ask, "HEAD", "/api/jobs/submit")).status == 404

    async def test_a_slash_too_many_is_said_and_not_sent_elsewhere(self, http: Http):
        missed = await http.post("/api/jobs/submit/", submission())
        assert (missed.status, "leave out the slash" in missed.json["detail"]) == (404, True)

    @pytest.mark.parametrize("body", [b"[]", b'"x"', b"7"])
    async def test_json_that_is_no_object_is_called_that(self, http: Http, body: bytes):
        refused = await http.post("/api/jobs/submit", body, Content_Type="application/json")
        assert (refused.status, refused.json["detail"]) == (422, "the body is one JSON object, in { and }")

    @pytest.mark.parametrize("body", [b'{"org_id": "\xe9"}', b"[" * 200_000], ids=["latin-1", "deep"])
    async def test_a_body_that_is_no_json_at_all_is_called_that(self, http: Http, body: bytes):
        refused = await http.post("/api/jobs/submit", body, Content_Type="application/json")
        assert refused.status == 400
        assert refused.json["detail"].startswith("The body is no JSON: ")

    async def test_what_to_do_is_said_in_terms_of_http(self, http: Http):
        assert (await http.get("/api/jobs/nonsense")).json["hint"] == "GET /api/jobs shows the latest jobs."
        first = await http.post("/api/jobs/submit", submission(run_key="taken"))
        other = await http.post("/api/jobs/submit", submission(run_key="taken", test_path="other.py"))
        assert (other.status, other.json["detail"]) == (
            409,
            "This run_key was already used for another submit.",
        )
        logs = await http.get(f"/api/jobs/{first.json['run_id']}/logs")
        assert logs.json["hint"] == f"Its jobs: GET /api/jobs/{first.json['run_id']}"

    async def test_the_lab_is_told_as_figures(self, http: Http):
        submitted = await http.post("/api/jobs/submit", submission(test_path="t/figures"))
        await http.ended(submitted.json["jobs"][0]["job_id"])

        async def told() -> dict[str, float] | None:
            answer = await http.get("/metrics")
            assert answer.status == 200
            assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
            lines = [line for line in answer.body.decode().splitlines() if not line.startswith("#")]
            figures = {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}
            ended = sum(value for name, value in figures.items() if name.startswith("qgjob_jobs_ended_total"))
            return figures if ended and figures['qgjob_slots{state="idle"}'] == 2 else None

        figures = await wait_for(told)
        assert figures is not None
        assert figures["qgjob_agents"] == 1
        assert figures['qgjob_check_ok{check="nats"}'] == 1
        assert figures['qgjob_jobs_waiting{priority="high"}'] == 0
        for seen in ('job_wait_seconds_count{priority="medium"}', "test_duration_seconds_count"):
            assert figures[f"qgjob_{seen}"] >= 1
        for seen in ("install_duration", "placement_duration"):
            assert figures[f"qgjob_{seen}_seconds_count"] >= 1

    async def test_queues_agents_and_health_are_told(self, http: Http):
        agents = (await http.get("/api/agents")).json["agents"]
        assert [len(agent["slots"]) for agent in agents] == [2]
        assert (await http.get("/api/jobs/queue/status")).json["depths"].keys() == {"high", "medium", "low"}

        async def well() -> Answer | None:
            answer = await http.get("/api/health/detailed")
            return answer if answer.status == 200 else None

        healthy = await wait_for(well)
        assert healthy is not None
        assert (await http.get("/api/health")).json == {"ok": True, "status": "healthy"}
        checks = {check["name"] for check in healthy.json["checks"]}
        assert checks >= {"nats", "streams", "store", "leader", "projection", "agents", "queue"}

    async def test_pages_of_other_sites_are_kept_out(self, http: Http):
        assert (await http.get("/api/agents", Origin="https://evil.example")).status == 403
        assert (await http.get("/api/agents", Origin="http://[")).status == 403
        assert (await http.get("/api/agents", Host="evil.example")).status == 403
        assert (await http.get("/api/agents", Origin=http.base)).status == 200

    async def test_the_docs_name_every_route(self, http: Http):
        schema = (await http.get("/openapi.json")).json
        page = (await http.get("/docs")).body.decode()
        assert len(schema["paths"]) >= 10
        assert all(path in page for path in schema["paths"])
        assert "http" not in page.replace("http://localhost", "")  # nothing is loaded from elsewhere

    async def test_a_program_made_from_the_description_knows_limits_and_refusals(self, http: Http):
        schema = (await http.get("/openapi.json")).json
        fields = schema["components"]["schemas"]["SubmitBody"]["properties"]
        assert (fields["retries"]["minimum"], fields["retries"]["maximum"]) == (0, 100)
        assert {"type": "integer", "minimum": 1, "maximum": 10} in fields["priority"]["anyOf"]
        assert {"type": "number", "exclusiveMinimum": 0, "maximum": 604_800} in fields["timeout"]["anyOf"]
        assert not re.search(r'"[gl][et]":', json.dumps(schema))  # a validator's words, not JSON Schema's
        answers = {
            f"{method} {path}": set(route["responses"])
            for path, methods in schema["paths"].items()
            for method, route in methods.items()
        }
        assert answers["post /api/jobs/submit"] == {"202", "401", "409", "413", "422", "429", "503"}
        assert answers["get /api/jobs/{id}"] == {"200", "401", "404", "422", "429", "503"}
        assert answers["post /api/bundles"] == {"201", "401", "413", "422", "429", "503"}
        assert answers["get /api/health"] == {"200", "422", "503"}


async def unwell(http: Http) -> Any:
    """The parts that health says are not well."""
    answer = await http.get("/api/health/detailed")
    assert (answer.status == 200) == answer.json["ok"]
    return {check["name"] for check in answer.json["checks"] if not check["ok"]}


async def test_each_part_is_seen_wrong_when_it_is_stopped(tmp_path: Path):
    async with LocalSystem(UpOptions(data_dir=tmp_path, http=True, agents=1, slots=1)) as running:
        assert running.http is not None
        http = Http(running.http)
        await wait_for(lambda: _is(http, set()), timeout=30)
        # An agent is gone when its heartbeats have been missing for 15 s: meanwhile the others are tried.
        agent = next(pid for name, pid in running.pids().items() if name.startswith("agent"))
        async with standing_still(agent):
            for part, seen in (("valkey", "store"), ("scheduler", "scheduler"), ("nats", "server")):
                async with standing_still(running.pids()[part]):
                    await wait_for(lambda seen=seen: _has(http, seen), timeout=30)
                    # Prometheus waits for so long; what comes later is a lab that is not seen at all.
                    figures = await asyncio.to_thread(http.ask, "GET", "/metrics", timeout=10)
                    assert "qgjob_healthy 0" in figures.body.decode()
                await wait_for(lambda: _is(http, set(), {"agents"}), timeout=30)
            await wait_for(lambda: _is(http, {"agents"}), timeout=30)
        await wait_for(lambda: _is(http, set()), timeout=30)


async def _is(http: Http, *parts: set[str]) -> bool:
    """Whether just these parts are not well, or just those."""
    return await unwell(http) in parts


async def _has(http: Http, part: str) -> bool:
    return part in (await unwell(http) or ())


async def test_a_submit_is_answered_while_the_server_stands_still_and_leaves_nothing(tmp_path: Path):
    async with LocalSystem(UpOptions(data_dir=tmp_path, http=True, agents=1, slots=1)) as running:
        assert running.http is not None
        http = Http(running.http)
        await wait_for(lambda: _is(http, set()), timeout=30)
        async with standing_still(running.pids()["nats"]):
            refused = await http.post("/api/jobs/submit", submission(run_key="frozen"))
        assert (refused.status, refused.headers["content-type"]) == (503, "application/problem+json")
        assert refused.headers["retry-after"] == "2"
        assert refused.json["detail"] == "The NATS server does not answer: nothing was stored."
        await wait_for(lambda: _is(http, set()), timeout=30)
        again = await http.post("/api/jobs/submit", submission(run_key="frozen"))
        assert (again.status, again.json["accepted_before"]) == (202, False)
