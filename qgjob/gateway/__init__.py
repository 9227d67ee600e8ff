"""HTTP for those with nothing but curl: routes that translate to client calls, and no logic."""
