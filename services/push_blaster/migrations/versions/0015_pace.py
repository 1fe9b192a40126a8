"""At which pace an engine sends: its rate, its breaker, its part of what all may send."""

from chassis.migrations import run_sql

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    run_sql("ALTER TABLE engines ADD COLUMN pace jsonb;")
