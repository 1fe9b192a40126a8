"""When each task of the night last ended well; until a first good run, when this was migrated."""

from chassis.migrations import run_sql

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    run_sql("""
CREATE TABLE upkeep (
  task    text PRIMARY KEY,            -- backup, prune
  good_at timestamptz NOT NULL
);
INSERT INTO upkeep VALUES ('backup', now()), ('prune', now());
""")
