"""The projection in Redis or Valkey: lists and counts that may be wiped at any time."""
