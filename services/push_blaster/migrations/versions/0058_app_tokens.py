"""Tokens of apps: these may register devices, set opt-outs and report conversions."""

from chassis.migrations import run_sql

revision = "0058"
down_revision = "0057"


def upgrade() -> None:
    run_sql("""
ALTER TABLE tokens
  DROP CONSTRAINT tokens_role_check,
  ADD CONSTRAINT tokens_role_check CHECK (role IN ('app', 'viewer', 'operator', 'admin'));
""")
