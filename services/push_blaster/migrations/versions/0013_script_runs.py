"""Every run of an audience script; and trials, which an engine takes from here."""

from chassis.migrations import run_sql

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    run_sql("""
CREATE TABLE script_runs (
  id              uuid PRIMARY KEY,
  script_id       text NOT NULL,
  execution_id    text,                          -- whose audience; of a trial, a name it was given
  is_trial        boolean NOT NULL,
  idempotency_key text UNIQUE,
  parameters      jsonb NOT NULL,                -- the texts that the script saw
  folder          text NOT NULL,                 -- where it wrote; empty once that is deleted
  state           text NOT NULL CHECK (state IN (
                    'waiting', 'running', 'succeeded', 'failed', 'stopped')),
  asked_at        timestamptz NOT NULL,
  handed_out_at   timestamptz,                   -- when a trial was last given to a worker
  started_at      timestamptz,
  seen_at         timestamptz,                   -- when its engine last said that it goes on
  ended_at        timestamptz,
  exit_code       integer,                       -- negative for a signal; null if we ended it
  error           text,                          -- with its last words
  audiences       jsonb                          -- what it wrote: rows, columns, first rows
);
CREATE INDEX script_runs_of_script ON script_runs (script_id, asked_at DESC, id DESC);
CREATE INDEX script_runs_open ON script_runs (state) WHERE ended_at IS NULL;
""")
