"""Stops in rows of their own, which nobody who holds the row of an execution can delay."""

from chassis.migrations import run_sql

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    run_sql("""
-- No foreign key: it would wait for whoever has locked the row of the execution.
CREATE TABLE execution_stops (
  execution_id text PRIMARY KEY,
  phase        text NOT NULL,                    -- in which it ends: cancelled, failed
  reason       text NOT NULL,
  asked_at     timestamptz NOT NULL
);

CREATE TABLE emergency_stops (
  asked_at    timestamptz PRIMARY KEY,
  reason      text NOT NULL,
  finished_at timestamptz                        -- when each automation was paused
);
""")
