"""Devices of every kind, with what is known about them."""

from chassis.migrations import run_sql

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    run_sql("""
ALTER TABLE devices
  DROP CONSTRAINT devices_kind_check,
  ADD CONSTRAINT devices_kind_check
    CHECK (kind IN ('fcm', 'fid', 'webpush', 'webhook', 'file')),
  ADD COLUMN keys        text,                   -- a web push subscription's: p256dh.auth
  ADD COLUMN timezone    text,                   -- as IANA names it
  ADD COLUMN app_version text;
CREATE INDEX devices_dead ON devices (dead_at) WHERE dead_at IS NOT NULL;
CREATE INDEX devices_of ON devices (user_id);    -- the dead ones too
""")
