"""The counts of a batch that is done, so that a look at a large send need not read its ledger."""

from chassis.migrations import run_sql

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    run_sql("ALTER TABLE send_batches ADD COLUMN counts jsonb;  -- rows of state, rule, variant, …")
