"""Benchmarks of qgjob on real servers and processes. `python -m bench` lists them."""
