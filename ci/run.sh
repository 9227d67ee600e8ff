#!/usr/bin/env bash
# Submit, wait, and tell GitHub: annotations, the step's summary, reports, outputs, the verdict.
set -euo pipefail

home="${RUNNER_TEMP:?}/qgjob"
qgjob="$home/venv/bin/qgjob"
mkdir -p "$home"
made=$(mktemp -d "$home/run-XXXXXX") # another step of the job may use the action too
junit="$made/junit.xml" html="$made/report.html" result="$made/result.json"

export QGJOB_SERVER="${INPUT_SERVER:?the input server is missing}"
if [[ -n "${INPUT_CREDS:-}" ]]; then
  (umask 077 && printf '%s\n' "$INPUT_CREDS" > "$made/lab.creds")
  trap 'rm -f "$made/lab.creds"' EXIT
  export QGJOB_CREDS="$made/lab.creds"
fi
# An input that is not given must not hide what qgjob.toml says.
for name in TOKEN ORG_ID APP_VERSION_ID APP RUNNER TARGET RETRIES SHARDS CONCURRENCY_KEY FAIL_FAST FAIL_ON_FLAKY \
  ALLOW_FAILURES; do
  input="INPUT_$name"
  if [[ -n "${!input:-}" ]]; then export "QGJOB_$name=${!input}"; fi
done

words=(submit --wait --json --junit "$junit")
while IFS= read -r test; do
  if [[ -n "$test" ]]; then words+=(--test "$test"); fi
done <<< "${INPUT_TESTS:-}"
while IFS= read -r word; do
  if [[ -n "$word" ]]; then words+=("$word"); fi
done <<< "${INPUT_ARGS:-}"

# GitHub interrupts this shell alone when a workflow is cancelled; qgjob is told, and cancels its jobs.
"$qgjob" "${words[@]}" > "$result" &
pid=$!
trap 'kill -TERM "$pid" 2> /dev/null || true' INT TERM
code=0
wait "$pid" || code=$?
while kill -0 "$pid" 2> /dev/null; do # the wait was ended by a signal, not by its end
  code=0
  wait "$pid" || code=$?
done
read -r run state passed failed flaky version < <(
  "$home/venv/bin/python" -c '
import json, sys
try:
    result = json.load(open(sys.argv[1]))
except ValueError:
    print("- errored 0 0 0 -")
else:
    counts = result["counts"]
    failed = counts.get("failed", 0) + counts.get("timed_out", 0)
    flaky = sum(job["flaky"] for job in result["jobs"])
    print(result["run_id"], result["state"], counts.get("passed", 0), failed, flaky, result["app_version_id"])
' "$result"
)
if [[ -s "$junit" ]]; then echo "junit=$junit" >> "${GITHUB_OUTPUT:-/dev/null}"; fi # also of a wait that was interrupted
if [[ "$run" != - ]]; then
  "$qgjob" report "$run" --format github || true
  "$qgjob" report "$run" --format markdown >> "${GITHUB_STEP_SUMMARY:-/dev/null}" || true
  "$qgjob" report "$run" --format html --output "$html" || true
  {
    echo "run-id=$run"
    echo "state=$state"
    echo "app-version-id=$version"
    echo "passed=$passed"
    echo "failed=$failed"
    echo "flaky=$flaky"
    echo "html=$html"
  } >> "${GITHUB_OUTPUT:-/dev/null}"
fi
exit "$code"
