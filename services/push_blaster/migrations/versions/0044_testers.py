"""Who gets the tests of an execution, with the texts as they were sent."""

from chassis.migrations import run_sql

revision = "0044"
down_revision = "0043"


def upgrade() -> None:
    run_sql("""
CREATE TABLE testers (
  execution_id  text NOT NULL REFERENCES executions ON DELETE CASCADE,
  position      smallint NOT NULL,
  user_id       uuid NOT NULL,
  name          text,        -- of the test device; null for a user
  kind          text,        -- of the device; null if there is no message
  platform      text,        -- of the device, if it is known
  title         text,        -- null if there is no message
  body          text,
  PRIMARY KEY (execution_id, position, user_id)
);
""")
