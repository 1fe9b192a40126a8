"""Import devices, and find the devices of a user."""
