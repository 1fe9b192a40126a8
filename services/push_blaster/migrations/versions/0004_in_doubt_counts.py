"""What is in doubt may have reached a phone: the cadence service is told of it too."""

from chassis.migrations import run_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run_sql("""
DROP INDEX deliveries_untracked;
CREATE INDEX deliveries_untracked ON deliveries (settled_at)
  WHERE state IN ('sent', 'in_doubt') AND tracked_at IS NULL;
""")
