"""Schedules, plans, and conflicts of caps."""
