"""The base of every service: settings, logs, PostgreSQL, problems, tokens, health."""
