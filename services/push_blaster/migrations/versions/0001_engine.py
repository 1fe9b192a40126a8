"""Executions, their pushes and batches, the delivery ledger, the log, and the clock's memory."""

from chassis.migrations import run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_sql("""
CREATE TABLE executions (
  id                 text PRIMARY KEY,           -- <automationId>@<slot>: a slot fires once
  automation_id      text NOT NULL,
  automation_name    text NOT NULL,
  automation_version integer NOT NULL,
  mode               text NOT NULL,
  trigger            text NOT NULL CHECK (trigger IN ('schedule', 'manual')),
  idempotency_key    text UNIQUE,
  slot               timestamptz NOT NULL,
  begins_at          timestamptz NOT NULL,
  phase              text NOT NULL CHECK (phase IN (
                       'waiting', 'audience_generation', 'test_sending', 'cancellation_window',
                       'live_execution', 'completed', 'failed', 'cancelled', 'missed', 'skipped')),
  due_at             timestamptz,                -- when its next step is due; null once it ended
  handed_out_at      timestamptz,                -- when the engine last gave that step to a worker
  live_at            timestamptz,                -- fixed once, when the test send is done
  fence              integer NOT NULL DEFAULT 0, -- grows with every step begun and every stop
  failures           integer NOT NULL DEFAULT 0, -- unexpected errors in a row
  reason             text,
  uncapped_reason    text,                       -- set when a push went out without its cap check
  snapshot           jsonb NOT NULL,             -- the automation's document as it was at the start
  created_at         timestamptz NOT NULL,
  ended_at           timestamptz,
  CHECK ((due_at IS NULL) = (ended_at IS NOT NULL))
);
CREATE INDEX executions_due ON executions (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX executions_of_automation ON executions (automation_id, slot DESC);
CREATE INDEX executions_newest ON executions (created_at DESC, id DESC);

CREATE TABLE execution_phases (
  execution_id text NOT NULL REFERENCES executions ON DELETE CASCADE,
  phase        text NOT NULL,
  entered_at   timestamptz NOT NULL,
  PRIMARY KEY (execution_id, phase)
);

CREATE TABLE execution_pushes (
  execution_id   text NOT NULL REFERENCES executions ON DELETE CASCADE,
  position       smallint NOT NULL,              -- 1 is the first push of the sequence
  status         text NOT NULL DEFAULT 'pending' CHECK (status IN (
                   'pending', 'audience_ready', 'test_sent', 'sending', 'sent', 'failed',
                   'cancelled')),
  due_at         timestamptz,
  started_at     timestamptz,
  ended_at       timestamptz,
  audience_file  text,                           -- the frozen audience, relative to the data folder
  audience_hash  text,
  audience_columns text[],
  source_file    text,                           -- the name of the script's CSV
  generated      integer,
  valid          integer,
  distinct_users integer,
  bad_rows       jsonb,                          -- the first ones, with line and reason
  funnel         jsonb,                          -- counts of outcomes, once the push has ended
  PRIMARY KEY (execution_id, position)
);

CREATE TABLE send_batches (
  execution_id  text NOT NULL,
  position      smallint NOT NULL,
  batch         integer NOT NULL,
  start_offset  bigint NOT NULL,                 -- byte offset in the frozen audience
  row_count     integer NOT NULL,
  fence         integer NOT NULL DEFAULT 0,
  failures      integer NOT NULL DEFAULT 0,
  handed_out_at timestamptz,
  done_at       timestamptz,
  PRIMARY KEY (execution_id, position, batch),
  FOREIGN KEY (execution_id, position) REFERENCES execution_pushes ON DELETE CASCADE
);
CREATE INDEX send_batches_open ON send_batches (handed_out_at NULLS FIRST) WHERE done_at IS NULL;

-- The ledger: one row for each user of each push of each execution, claimed before the send,
-- settled after it. A user without a row has not been reached yet.
CREATE TABLE deliveries (
  execution_id text NOT NULL,
  position     smallint NOT NULL,
  is_test      boolean NOT NULL,
  user_id      uuid NOT NULL,
  state        text NOT NULL CHECK (state IN (
                 'claimed', 'sent', 'failed', 'token_dead', 'in_doubt', 'held_back', 'no_token',
                 'missing_variable', 'bad_deep_link')),
  was_in_doubt boolean NOT NULL DEFAULT false,   -- its first send began and was never settled
  batch        integer NOT NULL,
  reason       text,                             -- cadence rule, provider's error, missing name …
  provider_id  text,
  claimed_at   timestamptz NOT NULL,
  settled_at   timestamptz,
  tracked_at   timestamptz,                      -- when the cadence service has recorded it
  PRIMARY KEY (execution_id, position, is_test, user_id)
);
CREATE INDEX deliveries_untracked ON deliveries (settled_at)
  WHERE state = 'sent' AND tracked_at IS NULL;
CREATE INDEX deliveries_of_user ON deliveries (user_id, claimed_at DESC);

CREATE TABLE execution_log (
  execution_id text NOT NULL,
  seq          bigint GENERATED ALWAYS AS IDENTITY,
  at           timestamptz NOT NULL,
  level        text NOT NULL CHECK (level IN ('info', 'success', 'warning', 'error')),
  stage        text NOT NULL,
  message      text NOT NULL,
  PRIMARY KEY (execution_id, seq)
);

-- The clock's memory: up to which slot an automation's schedule has been decided.
CREATE TABLE schedule_marks (
  automation_id text PRIMARY KEY,
  fingerprint   text NOT NULL,
  decided_until timestamptz NOT NULL
);

CREATE TABLE engines (
  id         text PRIMARY KEY,                   -- host:pid:start
  started_at timestamptz NOT NULL,
  seen_at    timestamptz NOT NULL
);
""")
