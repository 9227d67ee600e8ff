"""Tests of the test bundle."""
