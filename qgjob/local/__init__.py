"""The whole system on one machine: what `qgjob up`, `qgjob demo` and the tests start."""
