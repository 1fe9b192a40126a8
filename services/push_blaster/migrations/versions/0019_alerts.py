"""What people are to be told of, written with what happened, told until somebody took it."""

from chassis.migrations import run_sql

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    run_sql("""
CREATE TABLE alerts (
  execution_id text NOT NULL REFERENCES executions ON DELETE CASCADE,
  event        text NOT NULL,
  at           timestamptz NOT NULL,
  told_at      timestamptz,                      -- when the webhook took it, or it was given up
  tell_after   timestamptz NOT NULL,             -- not tried before then
  tries        integer NOT NULL DEFAULT 0,
  PRIMARY KEY (execution_id, event)              -- one alert an event
);
CREATE INDEX alerts_untold ON alerts (at) WHERE told_at IS NULL;
""")
