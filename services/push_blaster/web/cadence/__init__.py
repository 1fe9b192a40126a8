"""Cadence rules on pages, and users over a cap."""
