"""Personal sends: variants, a control group, quiet hours, and what a look at an audience found."""

from chassis.migrations import run_sql

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    run_sql("""
ALTER TABLE deliveries
  ADD COLUMN variant    text,                         -- which wording of the push it was
  ADD COLUMN held_until timestamptz,                  -- put off until then by the user's own time
  DROP CONSTRAINT deliveries_state_check,
  ADD CONSTRAINT deliveries_state_check CHECK (state IN (
    'claimed', 'sent', 'failed', 'token_dead', 'in_doubt', 'held_back', 'no_token',
    'missing_variable', 'bad_deep_link', 'dry_run', 'deferred', 'holdout', 'too_long',
    'quiet_hours', 'local_time_passed', 'not_in_time'));
ALTER TABLE execution_pushes
  ADD COLUMN audience_check jsonb;                    -- counts of rows that will get no message
""")
