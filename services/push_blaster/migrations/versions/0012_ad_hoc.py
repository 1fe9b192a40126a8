"""Executions without an automation of their own: pushes that are sent ad hoc."""

from chassis.migrations import run_sql

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    run_sql("""
ALTER TABLE executions
  DROP CONSTRAINT executions_trigger_check,
  ADD CONSTRAINT executions_trigger_check CHECK (trigger IN ('schedule', 'manual', 'ad_hoc'));
""")
