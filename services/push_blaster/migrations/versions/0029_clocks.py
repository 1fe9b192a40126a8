"""What each engine knows of its clocks: its own beside the database's, and whether it holds."""

from chassis.migrations import run_sql

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    run_sql("""
ALTER TABLE engines
  ADD COLUMN clock_ahead       interval,  -- the machine's clock beside the database's
  ADD COLUMN clock_uncertainty interval,
  ADD COLUMN clock_jump        interval;  -- not null while the engine begins and sends nothing
""")
