"""Widgets of our own: each keeps what it has drawn and repaints only lines that differ."""
