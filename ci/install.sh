#!/usr/bin/env bash
# Install qgjob from this checkout into a folder of its own, for the steps that follow.
set -euo pipefail

home="${RUNNER_TEMP:?}/qgjob"
"${PYTHON:-python3}" -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet --disable-pip-version-check "${GITHUB_ACTION_PATH:?}"
"$home/venv/bin/qgjob" --version
