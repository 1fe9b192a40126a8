"""Experiments: who tests the variants of a push, and the decision what all others get."""

from chassis.migrations import run_sql

revision = "0052"
down_revision = "0051"


def upgrade() -> None:
    run_sql("""
        CREATE TABLE push_decisions (
          execution_id text NOT NULL,
          position     smallint NOT NULL,
          draw         text NOT NULL,         -- chooses the testers; a resumed send keeps it
          decides_at   timestamptz NOT NULL,  -- until then the others wait
          decided_at   timestamptz,
          variant      text,                  -- what the others get; null: undecided, or nothing
          is_sure      boolean NOT NULL DEFAULT false,
          reason       text,
          figures      jsonb NOT NULL DEFAULT '{}',  -- users and events of each variant
          PRIMARY KEY (execution_id, position),
          FOREIGN KEY (execution_id, position) REFERENCES execution_pushes ON DELETE CASCADE
        );
        ALTER TABLE deliveries
          DROP CONSTRAINT deliveries_state_check,
          ADD CONSTRAINT deliveries_state_check CHECK (state IN (
            'claimed', 'sent', 'failed', 'token_dead', 'in_doubt', 'held_back', 'no_token',
            'missing_variable', 'bad_deep_link', 'dry_run', 'deferred', 'holdout', 'too_long',
            'quiet_hours', 'local_time_passed', 'not_in_time', 'sent_before', 'exited',
            'no_winner')) NOT VALID;
    """)
