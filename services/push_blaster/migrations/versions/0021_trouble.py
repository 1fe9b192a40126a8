"""What went wrong lately is found without reading every execution."""

from chassis.migrations import run_sql

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    run_sql("""
CREATE INDEX executions_troubled ON executions (created_at DESC)
  WHERE phase IN ('failed', 'missed') OR uncapped_reason IS NOT NULL;
""")
