"""The marks by which the clock remembers each schedule."""
