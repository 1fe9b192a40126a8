"""Devices that a provider called dead wait for the end of their batch, which decides about them."""

from chassis.migrations import run_sql

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    run_sql("""
ALTER TABLE doubted_devices
  ADD COLUMN position   smallint NOT NULL DEFAULT 0,
  ADD COLUMN is_test    boolean NOT NULL DEFAULT false,
  ADD COLUMN batch      integer NOT NULL DEFAULT 0,
  ADD COLUMN is_doubted boolean NOT NULL DEFAULT true;   -- false until the batch has ended
CREATE INDEX doubted_devices_reported ON doubted_devices (execution_id) WHERE NOT is_doubted;
""")
