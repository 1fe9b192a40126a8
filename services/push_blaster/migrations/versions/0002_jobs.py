"""The job library's own tables, as its pinned version (3.10) makes them."""

from procrastinate.schema import SchemaManager

from chassis.migrations import run_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_sql(SchemaManager.get_schema())
