"""Android devices that are not there: they speak the device's side of adb's transport protocol over TCP.

The real adb client and server connect to them (`adb connect 127.0.0.1:PORT`). `Phone` is a device's state and
its shell, with switches for what goes wrong; `PhoneLink` is its socket; `AdbHost` is a real adb server of the
test's own. By hand: `python -m tests.support.adbsim --count 3`.
"""

from tests.support.adbsim.host import AdbHost
from tests.support.adbsim.link import PhoneLink
from tests.support.adbsim.phone import Phone

__all__ = ["AdbHost", "Phone", "PhoneLink"]
