"""Runners with the real tools: browsers, Appium, npm."""
