"""What the dashboard asks of the system, and what it changes there."""
