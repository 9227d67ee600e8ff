"""The client as one object, in four parts: ask, send, follow, change."""
