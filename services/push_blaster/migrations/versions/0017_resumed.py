"""A stopped live send may be gone on with by a new execution, to whoever was not sent to."""

from chassis.migrations import run_sql

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    run_sql("""
ALTER TABLE executions ADD COLUMN resumes text;       -- the stopped execution that it goes on with
ALTER TABLE deliveries
  DROP CONSTRAINT deliveries_state_check,
  ADD CONSTRAINT deliveries_state_check CHECK (state IN (
    'claimed', 'sent', 'failed', 'token_dead', 'in_doubt', 'held_back', 'no_token',
    'missing_variable', 'bad_deep_link', 'dry_run', 'deferred', 'holdout', 'too_long',
    'quiet_hours', 'local_time_passed', 'not_in_time', 'sent_before'));
""")
