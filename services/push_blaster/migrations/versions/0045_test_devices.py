"""Test devices: phones and browsers of colleagues, which automations name for their tests."""

from chassis.migrations import run_sql

revision = "0045"
down_revision = "0044"


def upgrade() -> None:
    run_sql("""
CREATE TABLE test_devices (
  id          uuid PRIMARY KEY,     -- stands for a user in the ledger of tests
  name        text NOT NULL,
  token       text NOT NULL,
  kind        text NOT NULL,
  keys        text,                 -- of a web push subscription
  platform    text,
  user_id     uuid,                 -- whose device it is, if somebody says so
  created_at  timestamptz NOT NULL,
  created_by  text NOT NULL
);
CREATE UNIQUE INDEX test_devices_name ON test_devices (lower(name));
""")
