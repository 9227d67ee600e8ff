"""The dashboard: a headless store fed by the bus, and screens that draw what is visible of it."""
