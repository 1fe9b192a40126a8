"""Whose token changed the rules; what a caller says about itself proves nothing."""

from chassis.migrations import run_sql

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run_sql("ALTER TABLE rule_changes ADD COLUMN caller text")
