"""Import devices, and find those of a user."""
