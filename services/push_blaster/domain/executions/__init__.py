"""Executions: phases, timeline, modes, limits, safeguards, the funnel."""
