"""What `INSTALL_FAILED_…` means: whose fault it is, and what to try. Pure.

The codes are those of Android's PackageManager; an unknown one is taken for the lab's trouble, which is
tried again elsewhere, rather than for the build's.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, NamedTuple


class Kind(StrEnum):
    """How a refusal is treated; the value is the reason in the result."""

    BUILD = "build_broken"
    """The build's fault: every device would refuse it."""
    DEVICE = "build_unsuited"
    """This device is the wrong one for the build: another may take it."""
    CONFLICT = "install_conflict"
    """What is installed stands in the way: uninstall it first."""
    STORAGE = "install_storage"
    """No room: remove old builds."""
    LAB = "install_failed"
    """The device's or the link's trouble: try again."""
    DENIED = "install_denied"
    """The device is set up so that nobody may install; somebody has to change that."""


class Refusal(NamedTuple):
    """A device's refusal of a build."""

    kind: Kind
    code: str
    text: str

    @property
    def retryable(self) -> bool:
        """Whether another try, here or on another device, could do better."""
        return self.kind is not Kind.BUILD


_BUILD: Final = "the build is broken"
_OLD: Final = "the device's Android is too old or too new for the build"
_ABI: Final = "the build has no native code for this device's processor"
_MEANING: Final[dict[str, tuple[Kind, str]]] = {
    "INSTALL_FAILED_INVALID_APK": (Kind.BUILD, _BUILD),
    "INSTALL_FAILED_INVALID_URI": (Kind.LAB, "the device could not read the file it was sent"),
    "INSTALL_FAILED_MISSING_SPLIT": (Kind.BUILD, "the build is one part of a split app"),
    "INSTALL_FAILED_BAD_DEX_METADATA": (Kind.BUILD, _BUILD),
    "INSTALL_FAILED_BAD_SIGNATURE": (Kind.BUILD, "the build's signature is wrong"),
    "INSTALL_FAILED_BAD_PERMISSION_GROUP": (Kind.BUILD, "the build declares a wrong permission group"),
    "INSTALL_FAILED_PROCESS_NOT_DEFINED": (Kind.BUILD, _BUILD),
    "INSTALL_FAILED_MULTIPACKAGE_INCONSISTENCY": (Kind.BUILD, _BUILD),
    "INSTALL_FAILED_PACKAGE_CHANGED": (Kind.BUILD, "the build has another package name than announced"),
    "INSTALL_FAILED_OLDER_SDK": (Kind.DEVICE, _OLD),
    "INSTALL_FAILED_NEWER_SDK": (Kind.DEVICE, _OLD),
    "INSTALL_FAILED_DEPRECATED_SDK_VERSION": (Kind.DEVICE, _OLD),
    "INSTALL_FAILED_NO_MATCHING_ABIS": (Kind.DEVICE, _ABI),
    "INSTALL_FAILED_CPU_ABI_INCOMPATIBLE": (Kind.DEVICE, _ABI),
    "INSTALL_FAILED_MISSING_FEATURE": (Kind.DEVICE, "the device lacks a feature that the build requires"),
    "INSTALL_FAILED_MISSING_SHARED_LIBRARY": (Kind.DEVICE, "the device lacks a library of the build"),
    "INSTALL_FAILED_WRONG_INSTALLED_VERSION": (Kind.CONFLICT, "another version is installed"),
    "INSTALL_FAILED_ALREADY_EXISTS": (Kind.CONFLICT, "the app is installed already"),
    "INSTALL_FAILED_UPDATE_INCOMPATIBLE": (Kind.CONFLICT, "the installed app has another signature"),
    "INSTALL_FAILED_VERSION_DOWNGRADE": (Kind.CONFLICT, "the installed app is newer"),
    "INSTALL_FAILED_PERMISSION_MODEL_DOWNGRADE": (Kind.CONFLICT, "the installed app is newer"),
    "INSTALL_FAILED_UID_CHANGED": (Kind.CONFLICT, "data of a former install is in the way"),
    "INSTALL_FAILED_REPLACE_COULDNT_DELETE": (Kind.CONFLICT, "the installed app cannot be replaced"),
    "INSTALL_FAILED_NO_SHARED_USER": (Kind.CONFLICT, "the app's shared user is missing"),
    "INSTALL_FAILED_SHARED_USER_INCOMPATIBLE": (Kind.CONFLICT, "the app's shared user is another's"),
    "INSTALL_PARSE_FAILED_INCONSISTENT_CERTIFICATES": (
        Kind.CONFLICT,
        "the installed app has another signature",
    ),
    "INSTALL_FAILED_DUPLICATE_PACKAGE": (Kind.CONFLICT, "the app is installed already"),
    "INSTALL_FAILED_DUPLICATE_PERMISSION": (Kind.DEVICE, "another app of the device owns a permission"),
    "INSTALL_FAILED_CONFLICTING_PROVIDER": (Kind.DEVICE, "another app of the device owns a provider"),
    "INSTALL_FAILED_INSUFFICIENT_STORAGE": (Kind.STORAGE, "the device's storage is full"),
    "INSTALL_FAILED_DEXOPT": (Kind.STORAGE, "the device could not prepare the build's code"),
    "INSTALL_FAILED_USER_RESTRICTED": (Kind.DENIED, "the device allows no installs over USB"),
    "INSTALL_FAILED_REJECTED_BY_BUILDTYPE": (Kind.DENIED, "the device refuses builds of this type"),
    "INSTALL_FAILED_VERIFICATION_FAILURE": (Kind.DENIED, "the device's verifier refused the build"),
    "INSTALL_FAILED_VERIFICATION_TIMEOUT": (Kind.LAB, "the device's verifier did not answer"),
    "INSTALL_FAILED_TEST_ONLY": (Kind.BUILD, "the build is marked as test-only and was refused"),
    "INSTALL_FAILED_ABORTED": (Kind.LAB, "the install was aborted on the device"),
    "INSTALL_FAILED_INTERNAL_ERROR": (Kind.LAB, "the device met an internal error"),
    "INSTALL_FAILED_MEDIA_UNAVAILABLE": (Kind.LAB, "the device's storage is not available"),
    "INSTALL_FAILED_CONTAINER_ERROR": (Kind.LAB, "the device's storage is not available"),
}
_CODE: Final = re.compile(
    r"(?:Failure|Error)\s*\[?\s*((?:INSTALL|DELETE)_[A-Z0-9_]+)\s*(?::\s*(.*?))?\]?\s*$", re.MULTILINE
)
_SAID: Final = 300
_READ: Final = 4000
"""What a device says counts at its end."""


def refusal_in(output: str) -> Refusal | None:
    """The refusal in what an install wrote; None when it succeeded.

    An install that ends without a word lost its link, which is the lab's trouble.
    """
    text = output.strip()[-_READ:]
    if re.search(r"^\s*Success\b", text, re.MULTILINE):
        return None
    if (found := _CODE.search(text)) is None:
        said = " ".join(text.split())[-_SAID:]
        what = (
            f"the install failed without a code: {said}" if said else "the link was lost during the install"
        )
        return Refusal(Kind.LAB, "", what)
    code = found[1]
    said = " ".join((found[2] or "").split())[:_SAID]
    if code.startswith("INSTALL_PARSE_FAILED") and code not in _MEANING:
        kind, meaning = Kind.BUILD, "the device cannot read the build"
    else:
        kind, meaning = _MEANING.get(code, (Kind.LAB, "the device refused the build"))
    return Refusal(kind, code, f"{meaning} ({code}{f': {said}' if said else ''})")
