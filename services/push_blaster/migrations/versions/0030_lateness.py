"""When the first message of each push went to the provider."""

from chassis.migrations import run_sql

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    run_sql("""
ALTER TABLE execution_pushes ADD COLUMN first_message_at timestamptz;
CREATE INDEX execution_pushes_begun ON execution_pushes (first_message_at)
  WHERE first_message_at IS NOT NULL;
""")
