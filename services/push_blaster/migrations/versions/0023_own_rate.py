"""A batch whose automation has a rate of its own rests between its turns, in nobody's hands."""

from chassis.migrations import run_sql

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    run_sql("""
ALTER TABLE send_batches
  ADD COLUMN rests boolean NOT NULL DEFAULT false;    -- until not_before, by its automation's rate
""")
