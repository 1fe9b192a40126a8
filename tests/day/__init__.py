"""A day compressed to an hour: the real processes, a fault a minute, and what must be explained."""
