"""Permissions and the audit log."""
