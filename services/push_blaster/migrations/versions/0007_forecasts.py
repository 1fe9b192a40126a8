"""What cadence was expected to hold back from each push, once its audience was frozen."""

from chassis.migrations import run_sql

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run_sql("ALTER TABLE execution_pushes ADD COLUMN forecast jsonb;")
