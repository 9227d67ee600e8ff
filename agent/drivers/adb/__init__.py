"""Driver `adb`: Android phones and emulators, through the adb server of this machine.

The server's own socket protocol is spoken, not the `adb` program: a question to a device is a connection
on loopback instead of a process, so that a build that is there already costs some milliseconds.
"""
