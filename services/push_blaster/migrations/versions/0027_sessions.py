"""Sessions that the server can end, and the random secrets of an installation."""

from chassis.migrations import run_sql

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    run_sql("""
CREATE TABLE sessions (
  hash     text PRIMARY KEY,         -- SHA-256 of the secret in the cookie
  token    text NOT NULL,            -- SHA-256 of the token that began the session
  began_at timestamptz NOT NULL,
  seen_at  timestamptz NOT NULL,
  ends_at  timestamptz NOT NULL
);
CREATE INDEX sessions_ends_at ON sessions (ends_at);
CREATE TABLE stored_secrets (
  name   text PRIMARY KEY,
  secret text NOT NULL
);
""")
