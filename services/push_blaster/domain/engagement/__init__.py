"""Engagement: what pushes did, as apps and backends report it."""
