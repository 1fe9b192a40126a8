"""The secrets of a token before its rotations, each until the end of its own overlap."""

from chassis.migrations import run_sql

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    run_sql("""
CREATE TABLE previous_secrets (
  hash        text PRIMARY KEY,         -- SHA-256 of the secret
  name        text NOT NULL REFERENCES tokens ON DELETE CASCADE,
  valid_until timestamptz NOT NULL
);
CREATE INDEX previous_secrets_name ON previous_secrets (name);
""")
