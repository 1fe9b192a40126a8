"""What an execution waits for, because its engine is short of it."""

from chassis.migrations import run_sql

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    run_sql("ALTER TABLE executions ADD COLUMN waits_for text;  -- room on a disk, descriptors, …")
