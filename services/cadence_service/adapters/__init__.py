"""Adapters: each file works with one outside thing, such as a table."""
