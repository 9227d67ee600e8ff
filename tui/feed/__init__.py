"""What the store hears: the lab as it goes on, and the output of jobs."""
