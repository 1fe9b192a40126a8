"""What pushes did: events and conversions, and the counters of results."""
