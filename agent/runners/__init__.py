"""Runners turn a job into a command line, and its exit code and reports into a result."""
