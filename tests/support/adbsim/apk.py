"""APKs made by hand, as small as they can be: a binary manifest, a signature of sorts, ballast."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from pathlib import Path

from agent.drivers.apk.axml import root_element

VERSION_CODE, VERSION_NAME = 0x0101021B, 0x0101021C
_NONE = 0xFFFFFFFF


def make_apk(
    path: Path,
    package: str = "com.example.shop",
    version_code: int = 1,
    *,
    version_name: str = "1.0",
    signature: bytes = b"ours",
    ballast_bytes: int = 0,
    utf8: bool = False,
) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("AndroidManifest.xml", make_manifest(package, version_code, version_name, utf8=utf8))
        archive.writestr("META-INF/CERT.RSA", signature)
        archive.writestr("classes.dex", b"dex\n035\0")
        if ballast_bytes:
            archive.writestr("assets/ballast", os.urandom(ballast_bytes))
    return path


def package_of(data: bytes) -> tuple[str, int, bytes]:
    """Package, version code and signature of an APK made here."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        root = root_element(archive.read("AndroidManifest.xml"))
        names = archive.namelist()
        signature = archive.read("META-INF/CERT.RSA") if "META-INF/CERT.RSA" in names else b""
    return str(root.attributes["package"]), int(root.attributes.get(VERSION_CODE) or 0), signature


def make_manifest(package: str, version_code: int, version_name: str, *, utf8: bool = False) -> bytes:
    strings = ["versionCode", "versionName", "package", "manifest", "http://schemas.android.com", package]
    strings.append(version_name)
    android = 4
    attributes = [
        (android, 0, _NONE, 0x10, version_code),
        (android, 1, 6, 0x03, 6),
        (_NONE, 2, 5, 0x03, 5),
    ]
    body = struct.pack("<II", _NONE, 3) + struct.pack("<HHHHHH", 20, 20, len(attributes), 0, 0, 0)
    for namespace, name, raw, kind, value in attributes:
        body += struct.pack("<IIIHBBI", namespace, name, raw, 8, 0, kind, value)
    element = struct.pack("<HHIII", 0x0102, 16, 16 + len(body), 1, _NONE) + body
    names = struct.pack("<HHIII", 0x0180, 8, 16, VERSION_CODE, VERSION_NAME)
    chunks = _pool(strings, utf8=utf8) + names + element
    return struct.pack("<HHI", 0x0003, 8, 8 + len(chunks)) + chunks


def _pool(strings: list[str], *, utf8: bool) -> bytes:
    data, offsets = b"", list[int]()
    for text in strings:
        offsets.append(len(data))
        if utf8:
            raw = text.encode()
            data += bytes([len(text), len(raw)]) + raw + b"\0"
        else:
            data += struct.pack("<H", len(text)) + text.encode("utf-16-le") + b"\0\0"
    data += bytes(-len(data) % 4)
    start = 28 + 4 * len(offsets)
    head = struct.pack("<HHI", 0x0001, 28, start + len(data))
    head += struct.pack("<IIIII", len(strings), 0, 0x100 if utf8 else 0, start, 0)
    return head + struct.pack(f"<{len(offsets)}I", *offsets) + data
