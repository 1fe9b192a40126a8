"""Automations and templates as JSON files, and their schema."""
