"""Devices: where a user can be reached."""
