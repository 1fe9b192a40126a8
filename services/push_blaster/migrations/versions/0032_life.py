"""What shows that an engine lives, and how often a step began: for jobs, scripts and people."""

from chassis.migrations import run_sql

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    run_sql("""
ALTER TABLE engines ADD COLUMN alive_at timestamptz;    -- by the database's clock
ALTER TABLE script_runs ADD COLUMN engine_id text;      -- who runs it
ALTER TABLE executions
  ADD COLUMN attempt        integer NOT NULL DEFAULT 0, -- at the present step; 0 between steps
  ADD COLUMN attempt_by     text,                       -- the engine of the last attempt
  ADD COLUMN repeated_steps integer NOT NULL DEFAULT 0, -- further attempts at any step
  ADD COLUMN preparation    jsonb;                      -- stage, rows, at
""")
