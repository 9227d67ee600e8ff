"""What waits, as the leader holds it: jobs, their runs, and new attempts put into the backlog."""
