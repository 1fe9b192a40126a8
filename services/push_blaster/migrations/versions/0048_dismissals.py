"""Failed executions that a person has dismissed."""

from chassis.migrations import run_sql

revision = "0048"
down_revision = "0047"


def upgrade() -> None:
    run_sql("""
        CREATE TABLE dismissals (
          execution_id text PRIMARY KEY REFERENCES executions ON DELETE CASCADE,
          ended_at     timestamptz,  -- the end of the execution that was dismissed; null if it ran
          note         text NOT NULL,
          by           text NOT NULL,
          at           timestamptz NOT NULL
        );
    """)
