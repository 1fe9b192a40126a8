"""Automations, templates and experiments."""
