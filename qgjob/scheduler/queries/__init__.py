"""Answers to questions, from the projection and the streams."""
