"""The ledger at ten thousand sends a second: fewer index entries, one row for what cadence knows.

A claim costs two index entries, and a settlement none: it changes no indexed column, and finds
room on its page. Cadence is told of a batch at once, and that is kept with the batch.
"""

from chassis.migrations import run_sql

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    run_sql("""
DROP INDEX deliveries_untracked;
DROP INDEX deliveries_of_user;
ALTER TABLE deliveries DROP CONSTRAINT deliveries_pkey;
ALTER TABLE deliveries ADD PRIMARY KEY (user_id, execution_id, position, is_test);
CREATE INDEX deliveries_of_batch ON deliveries (execution_id, is_test, position, batch);
CREATE INDEX deliveries_untracked ON deliveries (claimed_at) WHERE is_test AND tracked_at IS NULL;
ALTER TABLE deliveries SET (fillfactor = 45);
ALTER TABLE deliveries
  ADD COLUMN tries      smallint NOT NULL DEFAULT 0,  -- how often the provider did not take it
  ADD COLUMN not_before timestamptz,                  -- a deferred message is tried again then
  DROP CONSTRAINT deliveries_state_check,
  ADD CONSTRAINT deliveries_state_check CHECK (state IN (
    'claimed', 'sent', 'failed', 'token_dead', 'in_doubt', 'held_back', 'no_token',
    'missing_variable', 'bad_deep_link', 'dry_run', 'deferred'));

ALTER TABLE send_batches
  ADD COLUMN not_before timestamptz,                  -- some of it was deferred until then
  ADD COLUMN tracked_at timestamptz;                  -- when cadence had been told of all of it
UPDATE send_batches b SET tracked_at = done_at
 WHERE NOT EXISTS (
       SELECT 1 FROM deliveries d
        WHERE d.execution_id = b.execution_id AND NOT d.is_test AND d.position = b.position
          AND d.batch = b.batch AND d.state IN ('sent', 'in_doubt') AND d.tracked_at IS NULL);
CREATE INDEX send_batches_untracked ON send_batches (done_at)
  WHERE done_at IS NOT NULL AND tracked_at IS NULL;
""")
