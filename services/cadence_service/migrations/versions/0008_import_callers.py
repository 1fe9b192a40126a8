"""Whose token imported a file and undid an import, and the file's SHA-256."""

from chassis.migrations import run_sql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run_sql("""
ALTER TABLE imports
  ADD COLUMN caller    text,           -- the role of the token
  ADD COLUMN sha256    text,
  ADD COLUMN undone_by text,
  ADD COLUMN undone_at timestamptz;
""")
