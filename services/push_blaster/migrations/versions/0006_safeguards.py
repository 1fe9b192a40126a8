"""Safeguards: violations, approval, and a tally of each batch for the failure rate."""

from chassis.migrations import run_sql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run_sql("""
CREATE TABLE violations (
  id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  execution_id  text NOT NULL REFERENCES executions ON DELETE CASCADE,
  automation_id text NOT NULL,
  position      smallint NOT NULL DEFAULT 0,     -- the push, or 0 for the whole execution
  type          text NOT NULL,
  severity      text NOT NULL CHECK (severity IN ('warning', 'critical')),
  message       text NOT NULL,
  data          jsonb NOT NULL,
  at            timestamptz NOT NULL,
  resolved_at   timestamptz,
  resolution    text,
  told_at       timestamptz,                     -- when the contacts' webhook took it
  tell_after    timestamptz NOT NULL,            -- not tried before then
  tries         integer NOT NULL DEFAULT 0,
  UNIQUE (execution_id, position, type)          -- a step that runs again reports nothing twice
);
CREATE INDEX violations_newest ON violations (at DESC);
CREATE INDEX violations_untold ON violations (tell_after) WHERE told_at IS NULL;

ALTER TABLE executions
  ADD COLUMN approval_reason text,               -- why it may go live only when approved
  ADD COLUMN approval        jsonb;              -- who approved, when, and the hashes of what

ALTER TABLE send_batches
  ADD COLUMN sent   integer NOT NULL DEFAULT 0,
  ADD COLUMN failed integer NOT NULL DEFAULT 0;
""")
