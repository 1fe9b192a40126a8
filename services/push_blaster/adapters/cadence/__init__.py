"""The client of the cadence service, and what is over a cap."""
