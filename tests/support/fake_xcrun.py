"""A stand-in for Xcode's `xcrun`: the shape of its answers, nothing of Apple's behaviour.

Its state is `state.json` in HOME: {"simulators": {UDID: STATE}, "phones": {UDID: PAIRING}, "apps": {…},
"fails": {VERB: MESSAGE}, "calls": […]}.
"""

import json
import os
import plistlib
import sys
from pathlib import Path
from typing import Any

STATE = Path(os.environ["HOME"]) / "state.json"


def main(words: list[str]) -> int:
    state: Any = json.loads(STATE.read_text())
    state["calls"].append(words)
    tool, verb = words[0], words[1] if words[0] == "simctl" else " ".join(words[1:4])
    code = 0
    if message := next((m for v, m in state["fails"].items() if verb.startswith(v)), None):
        print(message, file=sys.stderr)
        code = 1
    elif tool == "simctl":
        code = simctl(state, words[1:])
    else:
        code = devicectl(state, words[1:])
    STATE.write_text(json.dumps(state))
    return code


def simctl(state: Any, words: list[str]) -> int:
    match words:
        case ["list", "devices", "-j"]:
            devices = [
                {"udid": udid, "name": "iPhone 15 Pro", "state": there, "isAvailable": True}
                for udid, there in state["simulators"].items()
            ]
            runtime = "com.apple.CoreSimulator.SimRuntime."
            print(json.dumps({"devices": {f"{runtime}iOS-17-4": devices, f"{runtime}tvOS-17-4": devices}}))
        case ["install", udid, app]:
            install(state, udid, app)
        case ["get_app_container", udid, bundle]:
            if bundle not in state["apps"].get(udid, {}):
                print("No such file or directory", file=sys.stderr)
                return 2
            print(f"/Containers/{state['apps'][udid][bundle]}/Shop.app")
        case ["uninstall", udid, bundle]:
            state["apps"].get(udid, {}).pop(bundle, None)
        case ["bootstatus", udid, "-b"]:
            state["simulators"][udid] = "Booted"
        case ["io", _, "screenshot", path]:
            Path(path).write_bytes(b"\x89PNG")
        case ["terminate", *_]:
            pass
        case _:
            return 64
    return 0


def devicectl(state: Any, words: list[str]) -> int:
    answer: dict[str, Any] = {}
    path = os.devnull
    if "--json-output" in words:
        path = words[words.index("--json-output") + 1]
        words = words[: words.index("--json-output")]
    match words:
        case ["list", "devices"]:
            answer["devices"] = [
                {
                    "identifier": udid,
                    "hardwareProperties": {"udid": udid, "marketingName": "iPhone 14"},
                    "deviceProperties": {"osVersionNumber": "18.1"},
                    "connectionProperties": {"pairingState": pairing, "tunnelState": "connected"},
                }
                for udid, pairing in state["phones"].items()
            ]
        case ["device", "info", "apps", "--device", udid, "--bundle-id", bundle]:
            apps = state["apps"].get(udid, {})
            answer["apps"] = [
                {"bundleIdentifier": bundle, "bundleVersion": "1", "url": f"file:///{apps[bundle]}"}
                for _ in range(bundle in apps)
            ]
        case ["device", "install", "app", "--device", udid, app]:
            install(state, udid, app)
            return 0
        case ["device", "uninstall", "app", "--device", udid, bundle]:
            state["apps"].get(udid, {}).pop(bundle, None)
            return 0
        case _:
            return 64
    Path(path).write_text(json.dumps({"result": answer}))
    return 0


def install(state: Any, udid: str, app: str) -> None:
    with (Path(app) / "Info.plist").open("rb") as file:
        bundle = plistlib.load(file)["CFBundleIdentifier"]
    state["apps"].setdefault(udid, {})[bundle] = f"container-{len(state['calls'])}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
