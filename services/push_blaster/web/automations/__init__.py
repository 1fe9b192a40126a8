"""Automations and templates: their API, their form, their control."""
