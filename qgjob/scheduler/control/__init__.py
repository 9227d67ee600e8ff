"""Requests that change jobs, or that only the leader can answer: cancel, retry, reprioritise, explain."""
