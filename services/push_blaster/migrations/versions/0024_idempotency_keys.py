"""With which request an idempotency key was used first: another one under it is refused."""

from chassis.migrations import run_sql

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    run_sql("""
CREATE TABLE idempotency_keys (
  route     text NOT NULL,
  key       text NOT NULL,
  request   text NOT NULL,          -- SHA-256 of path, query and body
  used_at   timestamptz NOT NULL,
  PRIMARY KEY (route, key)
);
CREATE INDEX idempotency_keys_used_at ON idempotency_keys (used_at);
""")
