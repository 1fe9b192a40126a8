"""alembic's entry: the chassis knows how our migrations run."""

from chassis.migrations import run_environment

run_environment()
