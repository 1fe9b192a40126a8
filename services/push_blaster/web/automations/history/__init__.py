"""Versions of automations, duplicates, the archive, and deleted automations."""
