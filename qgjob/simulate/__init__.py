"""The placement core on a virtual clock: traces in, waits and installs out."""
