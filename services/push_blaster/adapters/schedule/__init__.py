"""What the clock keeps, and what it shows."""
