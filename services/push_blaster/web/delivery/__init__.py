"""Deliveries: the outcome of each user."""
