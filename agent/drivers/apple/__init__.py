"""Drivers `simctl` (iOS simulators) and `devicectl` (iPhones and iPads), through Xcode's `xcrun`.

They follow Apple's documentation and were never run on a Mac: the tests' `xcrun` is a stand-in that proves
the shape of our calls, not Apple's behaviour.
"""
