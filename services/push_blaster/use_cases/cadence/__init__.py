"""Ask the cadence service, and tell it what was sent."""
