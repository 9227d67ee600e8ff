"""Decisions without I/O and without a clock: the lifecycle of a job, retries, placement."""
