"""Forms that were sent without a session, until the person has signed in again."""

from chassis.migrations import run_sql

revision = "0047"
down_revision = "0046"


def upgrade() -> None:
    run_sql("""
CREATE TABLE unsent_forms (
  hash    text PRIMARY KEY,      -- SHA-256 of the key in the address of the page
  caller  text NOT NULL,         -- for whom the page of the form was drawn
  path    text NOT NULL,
  fields  text NOT NULL,         -- JSON: [[name, value], ...], encrypted with the key
  files   text NOT NULL,         -- JSON: [name of a file, ...], encrypted, too
  kept_at timestamptz NOT NULL
);
CREATE INDEX unsent_forms_caller ON unsent_forms (caller, kept_at);
""")
