"""Pushes without an automation: sent now, or scheduled once."""
