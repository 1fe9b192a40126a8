"""Users: all that is known of one user, the answer about the pushes, and its erasure."""
