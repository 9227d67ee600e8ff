"""The part of qgjob that runs on lab machines: slots, installs, runners and drivers.

Kept free of imports: the supervisor process imports this package at every start.
"""
