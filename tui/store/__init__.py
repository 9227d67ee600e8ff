"""What the dashboard knows, without any Textual: facts from the bus that converge in any order."""
