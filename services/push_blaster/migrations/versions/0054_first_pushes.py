"""A first event says in which push and variant it was, so that a fold counts it without a join."""

from chassis.migrations import run_sql

revision = "0054"
down_revision = "0053"


def upgrade() -> None:
    run_sql("""
ALTER TABLE first_events ADD COLUMN position smallint, ADD COLUMN variant smallint;
""")
