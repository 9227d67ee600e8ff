"""Follow the lab, runs, jobs and their output, and wait for verdicts."""
