"""Users: the page about one user, and its routes."""
