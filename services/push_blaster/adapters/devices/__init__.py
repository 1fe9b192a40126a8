"""Devices: their table, their CSV, and sources outside."""
