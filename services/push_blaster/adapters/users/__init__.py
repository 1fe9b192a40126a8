"""Users: the places that keep what is known of one user, how it is read, and erased."""
