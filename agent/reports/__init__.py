"""Readers of the reports that test tools write."""
