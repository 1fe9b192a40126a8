"""The exclusions of one user are found at once: to be shown, and to be erased."""

from chassis.migrations import run_sql

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    run_sql("""
CREATE INDEX reservation_exclusions_user ON reservation_exclusions (user_id);
""")
