"""Runners turn a job into a command line, and what it left behind into a result."""
