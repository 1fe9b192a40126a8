"""Decides whom we may push to, and remembers every push."""
