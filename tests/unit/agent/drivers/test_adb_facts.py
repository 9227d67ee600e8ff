"""What devices say of themselves, sensible or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.drivers.adb import facts
from agent.drivers.adb.facts import Vitals
from agent.drivers.adb.failures import Kind, refusal_in
from agent.drivers.adb.gates import Limits, judge
from agent.drivers.adb.recovery import Step, next_step
from agent.drivers.adb.server import parse_devices
from bus_schemas.base import is_label
from qgjob.errors import UsageError
from tests.support.adbsim import Phone


def said(phone: Phone, command: str) -> str:
    return phone.shell(command)[1].decode("utf-8", "replace")


def test_labels_of_a_phone_and_of_an_emulator():
    props = facts.properties(said(Phone(model="Pixel 7 Pro"), facts.properties_command()))
    assert facts.labels("R58M123", props) == {
        "android",
        "android-14",
        "api-34",
        "device",
        "serial:R58M123",
        "model:pixel-7-pro",
        "maker:google",
        "abi:arm64-v8a",
    }
    props = facts.properties(said(Phone(emulator=True, release="8.1.0"), facts.properties_command()))
    assert {"emulator", "android-8", "android-8.1.0"} <= facts.labels("10.0.0.7:5555", props)
    assert "emulator" in facts.labels("emulator-5554", {})


@given(st.text(max_size=300))
def test_labels_are_labels_whatever_a_device_says(text: str):
    everywhere: dict[str, str] = {name: text for name in facts.PROPERTIES}  # noqa: C420 - for the types
    for props in (facts.properties(text), everywhere):
        assert all(is_label(label) for label in facts.labels("s", props))
    facts.vitals(text)
    facts.package_proof(text, "com.example")
    parse_devices(text)
    refusal_in(text)


def test_vitals_are_read_from_what_android_writes():
    phone = Phone(battery=43, temperature_tenths=312, free_kib=512 * 1024)
    vitals = facts.vitals(said(phone, facts.VITALS_COMMAND))
    assert vitals == Vitals(booted=True, battery_percent=43, temperature_c=31.2, free_mib=512)
    phone.booted = False
    assert facts.vitals(said(phone, facts.VITALS_COMMAND)) == Vitals(
        booted=False, battery_percent=43, temperature_c=31.2, free_mib=512
    )
    phone.nonsense = True
    assert facts.vitals(said(phone, facts.VITALS_COMMAND)) is None


def test_a_device_without_a_battery_and_an_old_df():
    text = facts.parts("", 1)[0]
    assert text == ""
    output = f"1\n{'--qgjob--'}\n  present: false\n  level: 0\n  temperature: 0\n{'--qgjob--'}\n"
    old = "Filesystem  Size  Used  Free  Blksize\n/data  12.0G  10.5G  1.5G  4096\n"
    assert facts.vitals(output + old) == Vitals(booted=True, free_mib=1536)


def test_figures_that_cannot_be_true_are_none():
    output = f"1\n{'--qgjob--'}\n  level: 4711\n  scale: 100\n  temperature: 99999\n{'--qgjob--'}\n"
    assert facts.vitals(output) == Vitals(booted=True)


def test_the_running_version_of_a_package_is_its_proof():
    dump = (
        "Packages:\n  Package [com.other] (1):\n    versionCode=9 minSdk=1\n    lastUpdateTime=x\n"
        "  Package [com.example] (2):\n    versionCode=7 minSdk=24 targetSdk=34\n"
        "    lastUpdateTime=2026-11-24 09:00:01\n"
        "Hidden system packages:\n  Package [com.example] (3):\n    versionCode=5\n    lastUpdateTime=old\n"
    )
    assert facts.package_proof(dump, "com.example") == "7/2026-11-24 09:00:01"
    assert facts.package_proof(dump, "com.exampl") is None


@pytest.mark.parametrize(
    ("vitals", "words"),
    [
        (Vitals(booted=True, battery_percent=80, temperature_c=30, free_mib=900), None),
        (Vitals(booted=True), None),
        (Vitals(booted=False), "booting"),
        (Vitals(booted=True, battery_percent=14), "battery"),
        (Vitals(booted=True, temperature_c=34.1), "°C"),
        (Vitals(booted=True, free_mib=199), "storage"),
        (None, "nonsense"),
    ],
)
def test_gates(vitals: Vitals | None, words: str | None):
    health = judge(vitals, Limits())
    assert health.ok is (words is None)
    assert words is None or words in (health.detail or "")
    assert health.silent is (vitals is None)


def test_a_device_that_rests_has_to_be_a_little_better():
    charging = Vitals(booted=True, battery_percent=17)
    assert judge(charging, Limits()).ok
    assert not judge(charging, Limits(), resting=True).ok
    assert judge(Vitals(booted=True, battery_percent=20), Limits(), resting=True).ok


def test_limits_are_options():
    assert Limits.of({"min_battery": "30"}).battery_percent == 30
    with pytest.raises(UsageError, match="max_temperature"):
        Limits.of({"max_temperature": "hot"})


@pytest.mark.parametrize(
    ("output", "kind", "retryable"),
    [
        ("Failure [INSTALL_FAILED_INVALID_APK]", Kind.BUILD, False),
        ("Failure [INSTALL_PARSE_FAILED_NO_CERTIFICATES: Failed to collect]", Kind.BUILD, False),
        ("Failure [INSTALL_PARSE_FAILED_NEW_KIND]", Kind.BUILD, False),
        ("Failure [INSTALL_FAILED_NO_MATCHING_ABIS: res=-113]", Kind.DEVICE, True),
        ("Failure [INSTALL_FAILED_OLDER_SDK: Requires newer sdk version #34]", Kind.DEVICE, True),
        ("Failure [INSTALL_FAILED_UPDATE_INCOMPATIBLE: signatures do not match]", Kind.CONFLICT, True),
        ("Failure [INSTALL_FAILED_VERSION_DOWNGRADE]", Kind.CONFLICT, True),
        ("Failure [INSTALL_PARSE_FAILED_INCONSISTENT_CERTIFICATES]", Kind.CONFLICT, True),
        ("Failure [INSTALL_FAILED_INSUFFICIENT_STORAGE]", Kind.STORAGE, True),
        ("Failure [INSTALL_FAILED_USER_RESTRICTED: Install canceled by user]", Kind.DENIED, True),
        ("Failure [INSTALL_FAILED_INTERNAL_ERROR]", Kind.LAB, True),
        ("Failure [INSTALL_FAILED_SOMETHING_OF_NEXT_YEAR]", Kind.LAB, True),
        ("cmd: Can't find service: package", Kind.LAB, True),
        ("", Kind.LAB, True),
    ],
)
def test_refusals_are_told_apart(output: str, kind: Kind, *, retryable: bool):
    refusal = refusal_in(output)
    assert refusal is not None
    assert (refusal.kind, refusal.retryable) == (kind, retryable)
    assert not output.startswith("Failure") or refusal.code in refusal.text


def test_success_is_none():
    assert refusal_in("Success\n") is None
    assert refusal_in("WARNING: linker: libdvm.so has text relocations\nSuccess") is None


def climb(
    state: str | None, *, network: bool = False, may_kill: bool = True, may_reboot: bool = True
) -> list[str]:
    tried: list[Step] = []
    for _ in range(5):
        step = next_step(state=state, network=network, tried=tried, may_kill=may_kill, may_reboot=may_reboot)
        if step is None:
            break
        tried.append(step)
    return [step.value for step in tried]


def test_the_ladder_of_recovery():
    assert climb("device") == ["reconnect", "kill-server", "reboot", "reconnect", "reconnect"]
    assert climb("offline") == ["reconnect", "kill-server", "reconnect", "reconnect", "reconnect"]
    assert climb("device", may_kill=False, may_reboot=False) == ["reconnect"] * 5
    assert climb(None) == []
    assert climb(None, network=True) == ["connect"] * 5
    assert climb("unauthorized", network=True) == []
