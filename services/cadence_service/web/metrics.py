"""The gauges of the cadence service for Prometheus."""

from collections.abc import Callable, Iterator

from cadence_service.adapters.rule_table import select_rule_set
from chassis.metrics import Gauge
from chassis.postgres import BulkDatabase, DatabaseAwayError, DatabaseFaultError


def read_gauges_from(database: BulkDatabase) -> Callable[[], Iterator[Gauge]]:
    """Return a function that reads every gauge; while the database is away, only that one."""

    def read() -> Iterator[Gauge]:
        try:
            with database.transaction() as connection:
                rule_set = select_rule_set(connection)
        except (DatabaseAwayError, DatabaseFaultError):
            yield Gauge("cadence_database_up", "Whether the database answers.", {"": 0})
            return
        active = sum(rule.is_active for rule in rule_set.rules) if rule_set else 0
        yield Gauge("cadence_database_up", "Whether the database answers.", {"": 1})
        yield Gauge("cadence_rules_active", "Rules in force.", {"": active})

    return read
