"""What a command is not told by flags or the environment: the project file, the user's, the context."""
