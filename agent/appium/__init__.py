"""Appium as the agent runs it: one server for each device that wants one."""
