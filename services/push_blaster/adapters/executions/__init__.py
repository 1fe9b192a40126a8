"""Executions: their table, views, log and job queue."""
