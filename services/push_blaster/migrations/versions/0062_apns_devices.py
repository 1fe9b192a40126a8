"""Devices that Apple's service reaches without Firebase."""

from chassis.migrations import run_sql

revision = "0062"
down_revision = "0061"


def upgrade() -> None:
    run_sql("""
ALTER TABLE devices
  DROP CONSTRAINT devices_kind_check,
  ADD CONSTRAINT devices_kind_check
    CHECK (kind IN ('fcm', 'fid', 'apns', 'apns_sandbox', 'webpush', 'webhook', 'file'));
""")
