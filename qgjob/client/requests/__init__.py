"""Requests that a scheduler answers, and what jobs left in the object store."""
