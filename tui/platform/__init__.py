"""Terminal, files and garbage collector: what lies under Textual or beside it."""
