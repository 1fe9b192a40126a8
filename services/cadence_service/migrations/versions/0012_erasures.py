"""The history of a user may be erased; who did it is recorded, and not whose it was."""

from chassis.migrations import run_sql

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    run_sql("""
ALTER TABLE history_changes
  DROP CONSTRAINT history_changes_action_check,
  ADD CONSTRAINT history_changes_action_check
    CHECK (action IN ('deep_links_filled', 'pruned', 'user_erased'));
""")
