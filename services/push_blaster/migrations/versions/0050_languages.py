"""Devices have a language."""

from chassis.migrations import run_sql

revision = "0050"
down_revision = "0049"


def upgrade() -> None:
    run_sql("""
ALTER TABLE devices ADD COLUMN language text;      -- a tag of RFC 5646, such as pt-BR
""")
