"""Devices of users."""
