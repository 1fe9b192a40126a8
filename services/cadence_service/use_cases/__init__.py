"""Use cases: each file does one thing, and its name is a verb."""
