"""Run an execution from its start to its end."""
