"""How far the counters of a push have come, and who is in doubt."""

from chassis.migrations import run_sql

revision = "0055"
down_revision = "0054"


def upgrade() -> None:
    run_sql("""
ALTER TABLE result_pushes
  ADD COLUMN next_batch   integer,      -- the batches before it are counted; null: nothing is
  ADD COLUMN counted_at   timestamptz,  -- when all was counted
  ADD COLUMN first_number bigint;       -- of the execution that this one resumes in the end, or own
CREATE INDEX result_pushes_uncounted ON result_pushes (sent_at)
  WHERE counted_at IS NULL AND is_counted;
CREATE INDEX result_pushes_of_texts
  ON result_pushes (automation_id, push_id, texts_digest, execution_number);
ALTER TABLE result_counts ADD COLUMN in_doubt integer NOT NULL DEFAULT 0;
""")
