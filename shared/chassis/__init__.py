"""What any service here stands on: settings, logs, PostgreSQL, problems, tokens, health."""
