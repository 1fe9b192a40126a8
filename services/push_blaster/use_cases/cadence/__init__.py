"""Ask the cadence service for caps, and record sends there."""
