"""Drivers talk to devices: they find them, check their health, install and start builds."""
