"""Imports of history: each a batch that can be listed and undone."""

from chassis.migrations import run_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run_sql("""
CREATE TABLE imports (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind         text NOT NULL CHECK (kind IN ('restore', 'convert')),
  file_name    text NOT NULL,
  state        text NOT NULL CHECK (state IN ('running', 'done', 'failed', 'undone')),
  started_at   timestamptz NOT NULL,
  ended_at     timestamptz,
  total_rows   bigint NOT NULL DEFAULT 0,        -- grows while it runs
  valid_rows   bigint NOT NULL DEFAULT 0,
  inserted     bigint NOT NULL DEFAULT 0,
  duplicates   bigint NOT NULL DEFAULT 0,
  reason       text
);
ALTER TABLE user_notifications ADD COLUMN import_id bigint;
CREATE INDEX user_notifications_imported ON user_notifications (import_id)
  WHERE import_id IS NOT NULL;
""")
