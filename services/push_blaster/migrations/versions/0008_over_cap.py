"""Who got more than cadence rules allow, of executions that went out unchecked."""

from chassis.migrations import run_sql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run_sql("""
CREATE TABLE over_cap (
  execution_id text NOT NULL REFERENCES executions ON DELETE CASCADE,
  position     smallint NOT NULL,
  user_id      uuid NOT NULL,
  rules        text[] NOT NULL,                  -- the cadence rules whose caps were exceeded
  PRIMARY KEY (execution_id, position, user_id)
);
-- When its users over a cap were written down; until then they are not known.
ALTER TABLE executions ADD COLUMN over_cap_at timestamptz;
CREATE INDEX executions_over_cap_unknown ON executions (ended_at)
  WHERE uncapped_reason IS NOT NULL AND over_cap_at IS NULL;
""")
