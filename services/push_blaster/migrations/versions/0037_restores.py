"""What a restore from a backup leaves: what was under way ends, and nothing begins by itself."""

from chassis.migrations import run_sql

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    run_sql("""
-- A restore of an older schema has made this table already (push_backup/restored_mark.py).
CREATE TABLE IF NOT EXISTS restores (
  restored_at timestamptz PRIMARY KEY,   -- executions that were created until then are restored
  saved_at    timestamptz                -- when the backup was made, if that is known
);

-- What a restore calls: as an emergency stop, for what the newest backup has brought back.
CREATE FUNCTION end_restored() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  newest restores;
  why  text;
BEGIN
  SELECT * INTO newest FROM restores ORDER BY restored_at DESC LIMIT 1;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  why := 'Restored from a backup'
      || coalesce(to_char(newest.saved_at AT TIME ZONE 'UTC', '" of "YYYY-MM-DD HH24:MI" UTC"'), '')
      || ': what went out since then is unknown.';
  INSERT INTO emergency_stops (asked_at, reason) VALUES (newest.restored_at, why)
      ON CONFLICT DO NOTHING;
  INSERT INTO execution_stops (execution_id, phase, reason, asked_at)
  SELECT id, 'cancelled', why, newest.restored_at FROM executions
   WHERE ended_at IS NULL AND created_at <= newest.restored_at
      ON CONFLICT DO NOTHING;
  DELETE FROM suspensions s USING executions e
   WHERE e.id = s.execution_id AND e.created_at <= newest.restored_at;
  UPDATE script_runs SET state = 'stopped', error = why, ended_at = newest.restored_at
   WHERE ended_at IS NULL AND is_trial AND asked_at <= newest.restored_at;
END $$;
-- A database that went on by itself after its restore, under an older version, is left as it is.
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM executions
                  WHERE created_at > (SELECT max(restored_at) FROM restores)) THEN
    PERFORM end_restored();
  END IF;
END $$;
""")
