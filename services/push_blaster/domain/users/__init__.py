"""Users: all that is known of one user, and the answer to a question about the pushes."""
