"""What the cadence service is asked, as values."""
