"""Waiting for jobs and runs: progress, interruption, how it ended."""
