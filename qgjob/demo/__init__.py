"""`qgjob demo`: real sample tests over three builds on a local system of their own, and what came of it."""
