"""Ends a job's processes for certain. Kept free of imports: the supervisor process starts through it."""
