"""A message of a dry run has a state of its own: it was never sent, and never counts as sent."""

from chassis.migrations import run_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_sql("""
ALTER TABLE deliveries DROP CONSTRAINT deliveries_state_check;
ALTER TABLE deliveries ADD CONSTRAINT deliveries_state_check CHECK (state IN (
  'claimed', 'sent', 'failed', 'token_dead', 'in_doubt', 'held_back', 'no_token',
  'missing_variable', 'bad_deep_link', 'dry_run'));
""")
