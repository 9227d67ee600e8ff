"""The placement core at work: slots, bindings, releases, and what holds slots back."""
