"""The clock and the plans."""
