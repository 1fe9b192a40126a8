"""Users: the pages about one user and its erasure, and their routes."""
