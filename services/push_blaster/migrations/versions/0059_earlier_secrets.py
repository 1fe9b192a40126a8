"""Secrets of a destination that were replaced, and sign as long as they were promised."""

from chassis.migrations import run_sql

revision = "0059"
down_revision = "0058"


def upgrade() -> None:
    run_sql("""
-- Those before previous_secret, which an engine of the version before knows: [{secret, until}].
ALTER TABLE alert_destinations ADD COLUMN earlier_secrets jsonb NOT NULL DEFAULT '[]';
""")
