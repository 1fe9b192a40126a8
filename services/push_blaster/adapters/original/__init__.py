"""The original's files."""
