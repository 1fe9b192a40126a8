"""Which engine took a batch last, so that one can see how several engines share a send."""

from chassis.migrations import run_sql

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    run_sql("ALTER TABLE send_batches ADD COLUMN taken_by text;  -- host:pid, as in engines")
