"""Which devices a provider called dead without being believed: an operator may mark them dead."""

from chassis.migrations import run_sql

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    run_sql("""
CREATE TABLE doubted_devices (
  execution_id  text NOT NULL REFERENCES executions ON DELETE CASCADE,
  token         text NOT NULL,
  user_id       uuid NOT NULL,
  kind          text NOT NULL,
  reason        text NOT NULL,        -- in the provider's words
  doubted_at    timestamptz NOT NULL,
  PRIMARY KEY (execution_id, token)
);
CREATE INDEX doubted_devices_user ON doubted_devices (user_id);
CREATE INDEX doubted_devices_token ON doubted_devices (token);
""")
