"""Pure drawing: text made harmless, bars, charts, durations. No Textual here."""
