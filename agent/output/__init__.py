"""A job's output on its way to the log stream."""
