"""How an agent is to run: command line, environment, `agent.toml`, and secrets."""
