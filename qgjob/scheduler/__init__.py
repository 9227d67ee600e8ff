"""The scheduler service: one duty a file."""
