"""Tokens with names, of which only a hash is kept; and sign-ins that failed, for all workers."""

from chassis.migrations import run_sql

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    run_sql("""
CREATE TABLE tokens (
  name           text PRIMARY KEY,             -- never given out again: the audit log tells by it
  role           text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
  is_test        boolean NOT NULL CHECK (NOT is_test OR role <> 'admin'),
  hash           text NOT NULL UNIQUE,         -- SHA-256 of the secret
  previous_hash  text UNIQUE,                  -- of the secret before a rotation,
  previous_until timestamptz,                  -- and until when it still opens
  created_at     timestamptz NOT NULL,
  created_by     text NOT NULL,
  expires_at     timestamptz,
  last_used_at   timestamptz,
  revoked_at     timestamptz
);
CREATE TABLE sign_in_failures (
  at      timestamptz NOT NULL,
  address text NOT NULL
);
CREATE INDEX sign_in_failures_at ON sign_in_failures (at);
CREATE INDEX sign_in_failures_of_address ON sign_in_failures (address, at);
""")
