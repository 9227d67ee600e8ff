"""Reads an APK's package and version from untrusted files, without Android's own tools."""

from agent.drivers.apk.reader import ApkInfo, read_apk

__all__ = ["ApkInfo", "read_apk"]
