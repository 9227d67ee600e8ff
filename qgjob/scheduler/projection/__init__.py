"""The store kept up to date with the stream of events."""
