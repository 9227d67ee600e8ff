"""Which replica leads, and how its reign begins: election, fence, recovery."""
