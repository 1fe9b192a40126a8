"""Who changed the history other than by an import: filled in deep links, or pruned it."""

from chassis.migrations import run_sql

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    run_sql("""
CREATE TABLE history_changes (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  action     text NOT NULL CHECK (action IN ('deep_links_filled', 'pruned')),
  caller     text NOT NULL,       -- the role of the token, or the command line
  asked      jsonb NOT NULL,
  started_at timestamptz NOT NULL,
  ended_at   timestamptz,         -- none: it runs, or it ended half way
  done       jsonb
);
""")
