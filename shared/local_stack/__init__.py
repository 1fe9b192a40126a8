"""Runs everything on one machine: embedded PostgreSQL, both services, the engine, the example."""
