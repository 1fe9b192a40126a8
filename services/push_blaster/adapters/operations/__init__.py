"""Engines, alerts, retention and the heartbeat."""
