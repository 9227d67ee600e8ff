"""Runs on their way into the backlog: read once complete, superseded, submitted by schedules."""
