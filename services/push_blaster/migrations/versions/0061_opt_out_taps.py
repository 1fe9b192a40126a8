"""Taps in messages that opted users out, so that a repetition is told from a new tap."""

from chassis.migrations import run_sql

revision = "0061"
down_revision = "0060"


def upgrade() -> None:
    run_sql("""
CREATE TABLE opt_out_taps (
  user_id          uuid NOT NULL,
  execution_number bigint NOT NULL,
  position         smallint NOT NULL,
  scope            text NOT NULL,
  said_at          text NOT NULL,         -- when the tap was, as the phone says it; may be empty
  taken_at         timestamptz NOT NULL,
  PRIMARY KEY (user_id, execution_number, position, scope, said_at)
);
CREATE INDEX opt_out_taps_taken ON opt_out_taps (taken_at);
""")
