"""Numbers of executions, the pushes whose results are counted, and the keys of receipts."""

from chassis.migrations import run_sql

revision = "0051"
down_revision = "0050"


def upgrade() -> None:
    run_sql("""
-- The time is in the number, so that a database that was restored never uses a number again: a
-- receipt of an execution that the backup does not know must not count for another execution.
CREATE SEQUENCE execution_numbers AS bigint;
ALTER TABLE executions ADD COLUMN number bigint;     -- what receipts call the execution
ALTER TABLE executions ALTER COLUMN number
  SET DEFAULT (extract(epoch FROM now())::bigint << 20) | (nextval('execution_numbers') & 1048575);
ALTER SEQUENCE execution_numbers OWNED BY executions.number;
-- Executions that have ended write no receipt.
UPDATE executions SET number = DEFAULT WHERE ended_at IS NULL;
CREATE UNIQUE INDEX executions_number ON executions (number);

-- A push that began, with what its results are counted by; it outlives its execution.
CREATE TABLE result_pushes (
  execution_number bigint NOT NULL,
  position         smallint NOT NULL,
  execution_id     text NOT NULL,
  automation_id    text NOT NULL,
  automation_name  text NOT NULL,
  push_id          text NOT NULL,
  layer_id         smallint NOT NULL,
  mode             text NOT NULL,
  is_counted       boolean NOT NULL,           -- false: a dry run, a test or a simulation
  variants         text[] NOT NULL,            -- receipts name a variant by its place, from 1
  texts_digest     text NOT NULL,              -- with other texts, comparisons begin anew
  zone             text NOT NULL,              -- of the automation
  goal_name        text,
  goal_hours       integer,
  sent_at          timestamptz NOT NULL,       -- from when the push goes out
  week             date NOT NULL,              -- the partition of its events: its Monday in UTC
  PRIMARY KEY (execution_number, position)
);
CREATE INDEX result_pushes_of_automation ON result_pushes (automation_id, sent_at);
CREATE INDEX result_pushes_sent ON result_pushes (sent_at);
CREATE INDEX result_pushes_of_execution ON result_pushes (execution_id);

-- The newest key signs; the others still prove the receipts that they signed.
CREATE TABLE receipt_keys (
  number  smallint PRIMARY KEY CHECK (number BETWEEN 0 AND 255),
  key     bytea NOT NULL,
  made_at timestamptz NOT NULL
);
""")
