"""What keys, palette and command line offer: one table of actions, and how they are called."""
