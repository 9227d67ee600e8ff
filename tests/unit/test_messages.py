"""Every message has its golden JSON: a change of the wire format shows in review."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from bus_schemas.agents import Binding
from bus_schemas.base import SCHEMA_VERSION, Greeting, Message
from bus_schemas.events import EVENT_KINDS, Queued, decode_event
from bus_schemas.jobs import JobMessage, capability_of, labels_of, priority_class, title_of
from bus_schemas.messages import MESSAGES
from qgjob.errors import BadMessageError, NewerMessageError
from tests.support.samples import SAMPLES

GOLDEN = Path(__file__).parent / "golden"


def test_every_message_has_a_sample() -> None:
    assert {type(sample) for sample in SAMPLES} == set(MESSAGES)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: type(s).__name__)
def test_golden_json(sample: Message) -> None:
    path = GOLDEN / f"{type(sample).__name__}.json"
    assert path.exists(), f"write {path} from: {json.dumps(json.loads(sample.encode()), indent=2)}"
    golden = path.read_bytes()
    assert json.loads(sample.encode()) == json.loads(golden)
    assert type(sample).decode(golden) == sample


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda k: k.__name__)
def test_unknown_fields_are_tolerated_in_reading_and_refused_in_writing(kind: type[Message]) -> None:
    sample = next(s for s in SAMPLES if type(s) is kind)
    fields = json.loads(sample.encode())
    assert kind.decode(json.dumps({**fields, "from_the_future": 1})) == sample
    with pytest.raises(ValidationError, match="from_the_future"):
        kind.model_validate({**sample.model_dump(), "from_the_future": 1})


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda k: k.__name__)
def test_a_newer_schema_is_refused_with_a_sentence_unless_it_is_how_releases_meet(
    kind: type[Message],
) -> None:
    sample = next(s for s in SAMPLES if type(s) is kind)
    fields = json.loads(sample.encode())
    newer = json.dumps({**fields, "v": SCHEMA_VERSION + 1})
    if issubclass(kind, Greeting):
        assert kind.decode(newer) == sample.model_copy(update={"v": SCHEMA_VERSION + 1})
        return
    with pytest.raises(NewerMessageError, match="newer qgjob"):
        kind.decode(newer)


@pytest.mark.parametrize("data", [b"", b"no json", b"[]", b"{}", b"\xff\xfe", b'{"v": 0}', b"1" * 100_000])
def test_rubbish_is_refused_with_one_line(data: bytes) -> None:
    with pytest.raises(BadMessageError) as error:
        JobMessage.decode(data)
    assert "\n" not in error.value.message
    assert len(error.value.message) < 500


def test_events_are_told_apart_by_their_kind() -> None:
    for sample in SAMPLES:
        kind = getattr(sample, "kind", None)
        if kind in EVENT_KINDS:
            assert decode_event(sample.encode()) == sample
            assert EVENT_KINDS[kind].model is type(sample)
    with pytest.raises(BadMessageError):
        decode_event(b'{"kind": "unheard of"}')
    assert EVENT_KINDS["queued"].model is Queued


def test_every_message_has_a_json_schema() -> None:
    for kind in MESSAGES:
        schema = kind.model_json_schema()
        assert schema["title"] == kind.__name__
        assert schema.get("description"), f"{kind.__name__} has no docstring"


def test_capabilities_are_spelt_canonically() -> None:
    assert capability_of(("b", "a", "b")) == "a+b"
    assert capability_of(()) == "any"
    assert labels_of("a+b") == {"a", "b"}
    assert labels_of("any") == frozenset()


@pytest.mark.parametrize(
    ("number", "name"), [(1, "low"), (3, "low"), (4, "medium"), (7, "medium"), (8, "high"), (10, "high")]
)
def test_priority_classes(number: int, name: str) -> None:
    assert priority_class(number) == name


@pytest.mark.parametrize(
    ("test", "tests", "variant", "title"),
    [
        ("a.py", (), None, "a.py"),
        ("a.py", (), "android-14", "a.py [android-14]"),
        ("shard 1 of 2", ("a.py", "b.py"), None, "shard 1 of 2 (2 files)"),
        ("shard 2 of 2", ("c.py",), "android-14", "c.py [android-14]"),
    ],
)
def test_a_job_is_called_after_its_file_if_it_has_but_one(
    test: str, tests: tuple[str, ...], variant: str | None, title: str
) -> None:
    assert title_of(test, tests, variant) == title


@pytest.mark.parametrize("value", ["Infinity", "1e400", "NaN", "0", "-1"])
def test_a_time_that_has_no_end_or_is_none_is_refused(value: str):
    spec = '{"job_id":"j","run_id":"r","org_id":"o","app_version_id":"v","test":"t","created_at":1'
    with pytest.raises(BadMessageError, match="expires_s"):
        JobMessage.decode(f'{{"spec": {spec}, "expires_s": {value}}}}}')
    group = '{"capability":"any","org_id":"o","app_version_id":"v"}'
    with pytest.raises(BadMessageError, match="ack_wait_s"):
        Binding.decode(
            f'{{"agent":"a","slot":"s","epoch":1,"group":{group},"consumer":"c","ack_wait_s":{value}}}'
        )
