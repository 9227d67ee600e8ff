"""What `qgjob doctor` looks at: measured here, judged by pure functions, each with what to do about it."""
