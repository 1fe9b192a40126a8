"""Users: read all that is known of one user, and erase it."""
