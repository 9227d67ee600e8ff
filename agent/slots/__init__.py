"""Slots: what they are given, what they hold, and the devices they look after."""
