"""When a worker last had a batch: to dispatch the batch again makes it no younger."""

from chassis.migrations import run_sql

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    run_sql("""
ALTER TABLE send_batches ADD COLUMN worked_at timestamptz;  -- or was first dispatched; null at rest
""")
