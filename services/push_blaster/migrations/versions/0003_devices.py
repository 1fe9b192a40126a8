"""Devices: which token reaches whom."""

from chassis.migrations import run_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_sql("""
CREATE TABLE devices (
  token        text PRIMARY KEY CHECK (length(token) BETWEEN 1 AND 4096),
  user_id      uuid NOT NULL,
  kind         text NOT NULL DEFAULT 'fcm' CHECK (kind IN ('fcm')),
  platform     text,
  created_at   timestamptz NOT NULL,
  last_seen_at timestamptz NOT NULL,
  dead_at      timestamptz,
  dead_reason  text
);
CREATE INDEX devices_newest ON devices (user_id, last_seen_at DESC) WHERE dead_at IS NULL;
""")
