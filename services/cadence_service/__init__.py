"""Decides which users may get a push, and records every push."""
