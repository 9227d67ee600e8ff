"""What the tests share: real servers, and waiting for a condition."""
