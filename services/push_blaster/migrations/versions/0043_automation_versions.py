"""The versions of automations: a history of their documents, which nothing reads to run."""

from chassis.migrations import run_sql

revision = "0043"
down_revision = "0042"


def upgrade() -> None:
    run_sql("""
        CREATE TABLE automation_versions (
          id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          automation_id text NOT NULL,
          version       bigint NOT NULL,     -- as its document says; edits of a file may repeat it
          kind          text NOT NULL,       -- domain/automations/version.py
          author        text,                -- the name of a token; null if nobody knows
          reason        text,
          saved_at      timestamptz NOT NULL,
          digest        text NOT NULL,       -- of the complete document
          size          integer NOT NULL,    -- bytes
          document      json NOT NULL,       -- json keeps the order of the file
          generation    integer,             -- of a deleted automation: which one was deleted
          is_newest     boolean NOT NULL DEFAULT true
        );
        CREATE UNIQUE INDEX automation_versions_newest
            ON automation_versions (automation_id) WHERE is_newest;
        CREATE INDEX automation_versions_of ON automation_versions (automation_id, id);
        CREATE INDEX automation_versions_saved_at ON automation_versions (saved_at);
    """)
