"""Questions to the cadence service, and its answers, as values."""
