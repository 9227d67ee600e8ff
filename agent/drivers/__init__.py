"""Drivers speak to devices: what is there, is it well, install and start a build."""
