"""The live dashboard `qgjob tui`: a client of the bus like any other."""

import os

# Textual draws at ticks of this clock, and skips one when a draw took longer than a tick: at its usual 60 a
# second, what a key did would wait up to 33 ms for nothing. No more is drawn than before.
os.environ.setdefault("TEXTUAL_FPS", "240")
