"""The client of the cadence service, and the users over a cap."""
