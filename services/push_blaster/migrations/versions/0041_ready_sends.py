"""Under which key slots were reserved before the instant of a push, and for which instant."""

from chassis.migrations import run_sql

revision = "0041"
down_revision = "0040"


def upgrade() -> None:
    run_sql("""
        ALTER TABLE execution_pushes
          ADD COLUMN slots_key text,         -- of the first batch; null if nothing was made ready
          ADD COLUMN slots_for timestamptz;  -- the instant at which its sends count
        -- whether the engine knows of these columns; an older engine does not
        ALTER TABLE engines ADD COLUMN knows_ready boolean;
    """)
