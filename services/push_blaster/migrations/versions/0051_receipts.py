"""Numbers of executions, the pushes whose results are counted, and the keys of receipts."""

from chassis.migrations import run_sql

revision = "0051"
down_revision = "0050"


def upgrade() -> None:
    run_sql("""
CREATE SEQUENCE execution_numbers AS bigint;
ALTER TABLE executions ADD COLUMN number bigint;     -- what receipts call the execution
ALTER TABLE executions ALTER COLUMN number SET DEFAULT nextval('execution_numbers');
ALTER SEQUENCE execution_numbers OWNED BY executions.number;
UPDATE executions e SET number = o.number
  FROM (SELECT id, nextval('execution_numbers') AS number
          FROM (SELECT id FROM executions ORDER BY created_at, id) ordered) o
 WHERE o.id = e.id;
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
