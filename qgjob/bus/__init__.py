"""The bus: NATS JetStream as qgjob uses it."""
