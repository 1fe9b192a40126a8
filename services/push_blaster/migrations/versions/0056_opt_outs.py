"""Users who do not want all pushes, those of a layer, or those of an automation."""

from chassis.migrations import run_sql

revision = "0056"
down_revision = "0055"


def upgrade() -> None:
    run_sql("""
CREATE TABLE opt_outs (
  user_id uuid NOT NULL,
  scope   text NOT NULL CHECK (scope IN ('all', 'layer', 'automation')),
  target  text NOT NULL DEFAULT '',   -- the layer's number, or the automation's id
  until   timestamptz,                -- null is for good
  reason  text NOT NULL DEFAULT '',
  source  text NOT NULL,              -- the way on which it came
  set_at  timestamptz NOT NULL,
  set_by  text NOT NULL DEFAULT '',
  PRIMARY KEY (user_id, scope, target),
  CHECK ((scope = 'all') = (target = ''))
);
CREATE INDEX opt_outs_ended ON opt_outs (until) WHERE until IS NOT NULL;
ALTER TABLE deliveries
  DROP CONSTRAINT deliveries_state_check,
  ADD CONSTRAINT deliveries_state_check CHECK (state IN (
    'claimed', 'sent', 'failed', 'token_dead', 'in_doubt', 'held_back', 'no_token',
    'missing_variable', 'bad_deep_link', 'dry_run', 'deferred', 'holdout', 'too_long',
    'quiet_hours', 'local_time_passed', 'not_in_time', 'sent_before', 'exited', 'no_winner',
    'opted_out')) NOT VALID;
""")
