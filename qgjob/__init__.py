"""qgjob: a test orchestrator for mobile labs over NATS JetStream."""

__version__ = "0.1.0"
