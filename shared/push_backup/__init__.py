"""Backup and restore of all that the system keeps: both databases and the data folder."""
