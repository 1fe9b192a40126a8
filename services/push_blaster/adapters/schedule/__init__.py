"""What the clock remembers of each schedule."""
