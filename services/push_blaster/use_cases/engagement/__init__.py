"""What pushes did: take events and conversions, and fold them into counters."""
