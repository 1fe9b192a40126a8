"""Audience scripts, their runs, previews and uploads."""
