"""Shared parts of the commands of all programs."""
