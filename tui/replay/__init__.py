"""The past, played again from the stream of events."""
