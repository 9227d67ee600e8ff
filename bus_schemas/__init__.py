"""The contract of qgjob's bus: subjects, streams, and the models of every message."""
