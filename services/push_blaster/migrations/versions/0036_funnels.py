"""Pushes without a funnel, pushes that ended lately, and what nobody approved are found at once."""

from chassis.migrations import run_sql

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    run_sql("""
CREATE INDEX execution_pushes_counted ON execution_pushes (execution_id)
  WHERE funnel IS NULL AND started_at IS NOT NULL;
CREATE INDEX execution_pushes_ended ON execution_pushes (ended_at);
CREATE INDEX executions_unapproved ON executions (created_at DESC)
  WHERE phase = 'skipped' AND approval_reason IS NOT NULL;
""")
