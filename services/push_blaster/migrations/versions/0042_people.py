"""People who sign in through an identity provider, and the owners of tokens."""

from chassis.migrations import run_sql

revision = "0042"
down_revision = "0041"


def upgrade() -> None:
    run_sql("""
CREATE TABLE people (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  issuer       text NOT NULL,
  subject      text NOT NULL,
  label        text NOT NULL DEFAULT '',   -- the name in the audit log
  name         text NOT NULL,
  email        text NOT NULL,
  role         text CHECK (role IN ('viewer', 'operator', 'admin')),
  signed_in_at timestamptz NOT NULL,
  checked_at   timestamptz NOT NULL,       -- when the identity provider was asked last
  UNIQUE (issuer, subject)
);
CREATE TABLE people_labels (
  key       text PRIMARY KEY,              -- a label, folded: it belongs to one person for ever
  person_id bigint NOT NULL REFERENCES people ON DELETE CASCADE
);
CREATE INDEX people_labels_person ON people_labels (person_id);
ALTER TABLE sessions
  ADD COLUMN person_id    bigint REFERENCES people ON DELETE CASCADE,
  ADD COLUMN checked_at   timestamptz,
  ADD COLUMN asking_since timestamptz,     -- since when a process asks the identity provider
  ADD COLUMN sealed       text;            -- tokens of the identity provider; the cookie opens them
CREATE INDEX sessions_person ON sessions (person_id);
CREATE TABLE used_sign_ins (
  state   text PRIMARY KEY,
  ends_at timestamptz NOT NULL
);
ALTER TABLE tokens ADD COLUMN owner text;
""")
