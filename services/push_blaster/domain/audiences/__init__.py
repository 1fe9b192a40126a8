"""Audiences, the scripts that write them, and their runs."""
