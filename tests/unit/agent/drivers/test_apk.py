"""APKs from hands that nobody vouches for."""

from __future__ import annotations

import struct
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.drivers.apk import read_apk
from agent.drivers.apk.axml import AxmlError, root_element
from agent.errors import JobError
from tests.support.adbsim.apk import make_apk, make_manifest

MANIFEST = make_manifest("com.example.shop", 42, "4.2 Ω")


@pytest.mark.parametrize("utf8", [False, True])
def test_package_and_version_are_read(tmp_path: Path, *, utf8: bool):
    info = read_apk(make_apk(tmp_path / "a.apk", "com.example.shop", 42, version_name="4.2", utf8=utf8))
    assert (info.package, info.version_code, info.version_name) == ("com.example.shop", 42, "4.2")
    assert info.size == (tmp_path / "a.apk").stat().st_size


def test_a_real_apk_is_read():
    packages = Path(sys.prefix) / "node" / "node_modules"
    found = sorted(packages.glob("**/settings_apk-debug.apk"))
    if not found:
        pytest.skip("no real APK here: scripts/provision.py npm installs some")
    info = read_apk(found[0])
    assert info.package == "io.appium.settings"
    assert info.version_code is not None
    assert (info.version_name or "").count(".") == 2


@given(st.integers(0, len(MANIFEST) - 1), st.binary(min_size=1, max_size=8))
def test_a_manifest_with_wrong_bytes_is_read_or_refused(at: int, bytes_: bytes):
    data = MANIFEST[:at] + bytes_ + MANIFEST[at + len(bytes_) :]
    try:
        element = root_element(data)
    except AxmlError:
        return
    assert isinstance(element.name, str)


@given(st.integers(0, len(MANIFEST) - 1))
def test_a_manifest_that_was_cut_off_is_refused(length: int):
    with pytest.raises(AxmlError):
        root_element(MANIFEST[:length])


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_as_a_manifest(data: bytes):
    with pytest.raises(AxmlError):
        root_element(data)


def zipped(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/").replace("_xml", ".xml"), data)
    return path


def refused(path: Path) -> JobError:
    with pytest.raises(JobError) as caught:
        read_apk(path)
    assert not caught.value.retryable
    return caught.value


def test_what_is_no_apk_is_called_by_its_name(tmp_path: Path):
    text = tmp_path / "text"
    text.write_bytes(b"hello")
    empty = tmp_path / "empty"
    empty.touch()
    tar = tmp_path / "a.tar"
    with tarfile.open(tar, "w") as archive:
        archive.add(text, "hello")
    gz = tmp_path / "a.tar.gz"
    with tarfile.open(gz, "w:gz") as archive:
        archive.add(text, "hello")
    cases = {
        text: "no ZIP archive",
        empty: "an empty file",
        tar: "a tar archive",
        gz: "a gzip archive",
        zipped(tmp_path / "z", readme=b"x"): "without AndroidManifest.xml",
        zipped(tmp_path / "aab", base__manifest__AndroidManifest_xml=b"x"): "bundletool",
        zipped(tmp_path / "ipa", Payload__Shop=b"x"): "an iOS app",
    }
    for path, words in cases.items():
        error = refused(path)
        assert (error.reason, words in error.message) == ("build_no_apk", True), error.message


def test_broken_apks_are_the_builds_fault(tmp_path: Path):
    whole = make_apk(tmp_path / "a.apk").read_bytes()
    cut = tmp_path / "cut"
    cut.write_bytes(whole[: len(whole) // 2])
    assert "cut off" in refused(cut).message
    bomb = zipped(tmp_path / "bomb", AndroidManifest_xml=bytes(20 * 2**20))
    assert "larger than 4 MiB" in refused(bomb).message
    assert "cannot be read" in refused(zipped(tmp_path / "text", AndroidManifest_xml=b"<manifest/>")).message
    evil = make_manifest("com.example; reboot", 1, "1")
    assert "no package" in refused(zipped(tmp_path / "evil", AndroidManifest_xml=evil)).message
    listed = bytearray(whole)
    end = whole.rfind(b"PK\x05\x06")
    listed[end + 12 : end + 16] = struct.pack("<I", 0xFFFFFFFF)
    huge = tmp_path / "huge"
    huge.write_bytes(listed)
    assert "too many files" in refused(huge).message


@given(st.data())
def test_an_apk_with_wrong_bytes_never_raises_anything_else(data: st.DataObject):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = make_apk(Path(folder) / "a.apk")
        whole = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(whole)
        try:
            outcome = read_apk(path).package
        except JobError as error:
            outcome = error.reason
        assert outcome.startswith("build_") or "." in outcome


def test_a_file_that_is_gone_is_the_labs_trouble(tmp_path: Path):
    with pytest.raises(JobError) as caught:
        read_apk(tmp_path / "nothing")
    assert (caught.value.reason, caught.value.retryable) == ("build_unreadable", True)
