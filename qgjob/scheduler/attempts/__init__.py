"""What becomes of released work: how it ended, and what nobody holds any more."""
