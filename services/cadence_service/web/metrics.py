"""The gauges of the cadence service for Prometheus."""

from collections.abc import Callable, Iterator

from cadence_service.adapters.rule_table import RuleSet, select_rule_set
from chassis.health import Questions
from chassis.metrics import Gauge
from chassis.postgres import BulkDatabase


def read_gauges_from(database: BulkDatabase) -> Callable[[], Iterator[Gauge]]:
    """Return a function that reads every gauge; while health calls the database away, only that."""

    def read_rules() -> RuleSet | None:
        with database.transaction() as connection:
            return select_rule_set(connection)

    parts = Questions({"database": database.ping, "rules": read_rules})

    def read() -> Iterator[Gauge]:
        answers = parts.ask()
        if answers.faults:
            yield Gauge("cadence_database_up", "Whether the database answers.", {"": 0})
            return
        rule_set = answers.values["rules"]
        active = sum(rule.is_active for rule in rule_set.rules) if rule_set else 0
        yield Gauge("cadence_database_up", "Whether the database answers.", {"": 1})
        yield Gauge("cadence_rules_active", "Rules in force.", {"": active})

    return read
