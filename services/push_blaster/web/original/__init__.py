"""The original's routes."""
