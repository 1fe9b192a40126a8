"""Executions that come back with their automation, and the generations of an automation."""

from chassis.migrations import run_sql

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    run_sql("""
-- Nobody cancelled these executions: their automation was off. No foreign key, as for stops.
CREATE TABLE suspensions (
  execution_id text PRIMARY KEY
);
-- An automation that was deleted and made anew has slots of its own.
ALTER TABLE schedule_marks ADD COLUMN generation integer NOT NULL DEFAULT 1;
""")
