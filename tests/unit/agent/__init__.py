"""Tests of the agent's own parts, without a bus."""
