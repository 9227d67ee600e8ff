"""Reads an APK's package and version, without Android's own tools, from files that nobody vouches for."""

from agent.drivers.apk.reader import ApkInfo, read_apk

__all__ = ["ApkInfo", "read_apk"]
