"""The pushes before a conversion are found by the goal."""

from chassis.migrations import run_sql

revision = "0053"
down_revision = "0052"


def upgrade() -> None:
    run_sql("""
CREATE INDEX result_pushes_of_goal ON result_pushes (goal_name, sent_at)
  WHERE goal_name IS NOT NULL AND position = 1;
""")
