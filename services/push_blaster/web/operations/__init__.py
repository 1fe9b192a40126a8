"""Health, metrics and the dashboard."""
