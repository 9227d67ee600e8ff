"""Examples of each command, for its help, the manual page and the reference.

A test reads every one of them with the parser of its command, so that none names an option that is gone.
"""

from __future__ import annotations

from typing import Final

Example = tuple[str, str]
"""A command line, and what it is for."""

EXAMPLES: Final[dict[str, tuple[Example, ...]]] = {
    "submit": (
        (
            "qgjob submit --org-id acme --app-version-id 1.4.0 --test 'e2e/*.spec.ts' --wait",
            "run all of these tests, and exit with the verdict",
        ),
        (
            "qgjob submit --target emulator --require android-14 --priority high",
            "the other options are in qgjob.toml",
        ),
        ("qgjob submit --test check.sh -- ./check.sh --fast {test}", "any program, with arguments"),
        ("qgjob submit --cron '30 5 * * 1-5' --time-zone Europe/Berlin", "again every working day"),
    ),
    "status": (
        ("qgjob status r_01m874kaa0dp9zb8cfeadytmfg", "a run and its jobs"),
        ("qgjob status j_01m874kaa0dp9zb8cfeadytmfg --json", "a job with its attempts, for scripts"),
    ),
    "list": (
        ("qgjob list --state failed --limit 20", "the latest failures"),
        ("qgjob list --org-id acme --app-version-id 1.4.0 --json", "for scripts"),
    ),
    "watch": (
        ("qgjob watch", "everything that happens in the lab"),
        ("qgjob watch r_01m874kaa0dp9zb8cfeadytmfg --json", "one run to its end, a JSON object a line"),
    ),
    "wait": (
        ("qgjob wait r_01m874kaa0dp9zb8cfeadytmfg --timeout 30m --junit report.xml", ""),
        ("qgjob wait j_01m874kaa0dp9zb8cfeadytmfg && echo passed", "the exit code is the verdict"),
    ),
    "logs": (
        ("qgjob logs j_01m874kaa0dp9zb8cfeadytmfg --follow", "what it writes while it runs"),
        ("qgjob logs j_01m874kaa0dp9zb8cfeadytmfg | grep -i error", ""),
    ),
    "report": (
        ("qgjob report r_01m874kaa0dp9zb8cfeadytmfg --format html --output report.html", "for people"),
        ("qgjob report r_01m874kaa0dp9zb8cfeadytmfg --format github", "annotations of a workflow"),
    ),
    "history": (
        ("qgjob history e2e/login.spec.ts", "how it went lately, and how flaky it is"),
        ("qgjob history e2e/login.spec.ts --org-id acme --limit 200 --json", ""),
    ),
    "explain": (("qgjob explain j_01m874kaa0dp9zb8cfeadytmfg", "why it waits, and what would change it"),),
    "artifacts": (
        ("qgjob artifacts r_01m874kaa0dp9zb8cfeadytmfg", "list them"),
        ("qgjob artifacts r_01m874kaa0dp9zb8cfeadytmfg --download out", "fetch them"),
    ),
    "cancel": (("qgjob cancel r_01m874kaa0dp9zb8cfeadytmfg --reason 'wrong build'", ""),),
    "retry": (
        ("qgjob retry r_01m874kaa0dp9zb8cfeadytmfg --failed", "what failed of a run"),
        ("qgjob retry j_01m874kaa0dp9zb8cfeadytmfg", ""),
    ),
    "reprioritise": (("qgjob reprioritise r_01m874kaa0dp9zb8cfeadytmfg high", ""),),
    "app": (("qgjob app upload build/app.apk --org-id acme --app-version-id 1.4.0", ""),),
    "app upload": (
        ("qgjob app upload build/app.apk --org-id acme --app-version-id 1.4.0", ""),
        ("qgjob app upload build/ --org-id acme --app-version-id 1.4.0", "a folder"),
    ),
    "app list": (("qgjob app list --org-id acme", ""),),
    "app resume": (("qgjob app resume 1.4.0 --org-id acme", "it was held because it failed everywhere"),),
    "agents": (
        ("qgjob agents list", ""),
        ("qgjob agents drain lab-1", "before the machine is taken away"),
    ),
    "agents list": (("qgjob agents list --json", ""),),
    "agents drain": (("qgjob agents drain lab-1 --note 'new disk'", "before the machine is taken away"),),
    "agents pause": (("qgjob agents pause lab-1/s3 --for 2h", ""),),
    "agents quarantine": (("qgjob agents quarantine lab-2/s1 --note 'screen is black'", ""),),
    "agents resume": (("qgjob agents resume lab-1", ""),),
    "agents reserve": (("qgjob agents reserve lab-1/s0 --for 30m", "borrow a phone"),),
    "queue": (("qgjob queue status", ""), ("qgjob queue pause --org-id acme", "start no more of its jobs")),
    "queue status": (("qgjob queue status --json", ""),),
    "queue pause": (
        ("qgjob queue pause --org-id acme --note 'backend is down'", ""),
        ("qgjob queue pause --capability android-14+emulator", ""),
    ),
    "queue resume": (("qgjob queue resume --org-id acme", ""),),
    "queue limit": (("qgjob queue limit --org-id acme --max-running 10", ""),),
    "cron": (("qgjob cron list", ""), ("qgjob cron delete c_01m874kaa0dp9zb8cfeadytmfg", "")),
    "cron list": (("qgjob cron list --org-id acme", ""),),
    "cron delete": (("qgjob cron delete c_01m874kaa0dp9zb8cfeadytmfg", ""),),
    "deadletters": (("qgjob deadletters list", ""), ("qgjob deadletters drop --all", "once it is known why")),
    "deadletters list": (("qgjob deadletters list --limit 500", ""),),
    "deadletters show": (
        ("qgjob deadletters show 12", ""),
        ("qgjob deadletters show 12 --json | jq -r .data | base64 -d", "its payload as it was"),
    ),
    "deadletters drop": (("qgjob deadletters drop 12", ""), ("qgjob deadletters drop --all", "")),
    "top": (
        ("qgjob top", "until Ctrl-C"),
        ("qgjob top | head -20", "once, for a script or a ticket"),
    ),
    "tui": (("qgjob tui --read-only", "for the screen on the wall"),),
    "health": (("qgjob health || page-somebody", "for a monitor"),),
    "doctor": (
        ("qgjob doctor", "what is wrong here, and what to do"),
        ("qgjob --server nats://lab:4222 doctor --json", "with all figures, for a ticket"),
    ),
    "up": (
        ("qgjob up", "until Ctrl-C"),
        ("qgjob up --slots 8 --data-dir ./lab", ""),
        ("qgjob up --listen 0.0.0.0:4222 --token lab.token", "let other machines join"),
    ),
    "demo": (("qgjob demo", ""), ("qgjob demo --slots 2 --keep", "and look around in it afterwards")),
    "agent": (
        ("qgjob --server nats://lab:4222 agent --name rack-1 --slots 8 --labels emulator,android-14", ""),
        ("qgjob --server nats://lab:4222 agent --driver adb --devices auto", "every connected phone"),
    ),
    "scheduler": (("qgjob --server nats://lab:4222 scheduler --redis-url redis://lab", ""),),
    "gateway": (("qgjob --server nats://lab:4222 gateway --host 0.0.0.0 --token gateway.token", ""),),
    "simulate": (
        ("qgjob simulate trace.csv --slots 8,12", "what four more slots would bring"),
        ("qgjob simulate trace.csv --slots 8 --plot day.svg", ""),
    ),
    "context": (
        ("qgjob context add lab nats://lab:4222 --creds lab.creds", ""),
        ("qgjob context use lab", ""),
    ),
    "context add": (("qgjob context add lab nats://lab:4222 --creds lab.creds", ""),),
    "context use": (("qgjob context use lab", ""),),
    "context remove": (("qgjob context remove lab", ""),),
    "context list": (("qgjob context list", ""),),
    "config": (("qgjob config show", ""),),
    "config show": (("qgjob config show", "in the folder of a project"),),
    "schema": (("qgjob schema export schemas", ""),),
    "schema export": (("qgjob schema export schemas", ""),),
    "completion": (
        ('eval "$(qgjob completion bash)"', "in ~/.bashrc"),
        ("qgjob completion zsh > ~/.zfunc/_qgjob", "with that folder in fpath, before compinit"),
        ("qgjob completion fish > ~/.config/fish/completions/qgjob.fish", ""),
    ),
}
