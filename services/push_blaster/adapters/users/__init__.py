"""Users: where all that is known of one user is read."""
