"""Executions: start, watch, stop, export."""
