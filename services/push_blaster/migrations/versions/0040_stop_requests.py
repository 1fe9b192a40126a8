"""Stops that wait for locked tables, and stops of runs of scripts, in rows of their own."""

from chassis.migrations import run_sql

revision = "0040"
down_revision = "0039"


def upgrade() -> None:
    run_sql("""
-- A row with phases stops each execution in one of them that is not younger than the row.
ALTER TABLE execution_stops
  ADD COLUMN only_execution  text,               -- none: each execution of the automation
  ADD COLUMN only_automation text,               -- none: each automation
  ADD COLUMN phases          text[],
  ADD COLUMN is_suspension   boolean;            -- what it cancels comes back with its automation
-- No foreign key, as for stops.
CREATE TABLE script_run_stops (
  run_id   uuid PRIMARY KEY,
  asked_at timestamptz NOT NULL
);
""")
