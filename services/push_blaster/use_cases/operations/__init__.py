"""Alerts, contacts and retention."""
