"""The gauges of the cadence service for Prometheus."""

from collections.abc import Callable, Iterator

from cadence_service.adapters.rule_table import RuleSet, select_rule_set
from chassis.health import Questions
from chassis.metrics import Gauge, expected_gauge, read_upkeep_from
from chassis.postgres import BulkDatabase


def read_gauges_from(
    database: BulkDatabase, expected_replicas: int | None = None
) -> Callable[[], Iterator[Gauge]]:
    """Return a function that reads every gauge; while health calls the database away, only two."""

    def read_rules() -> RuleSet | None:
        with database.transaction() as connection:
            return select_rule_set(connection)

    upkeep = read_upkeep_from(database, "cadence", ("prune",))
    parts = Questions({"database": database.ping, "rules": read_rules, "upkeep": upkeep})

    def read() -> Iterator[Gauge]:
        answers = parts.ask()
        yield expected_gauge("cadence_replicas_expected", expected_replicas)
        if {"database", "rules"} & answers.faults.keys():
            yield Gauge("cadence_database_up", "Whether the database answers.", {"": 0})
            return
        rule_set = answers.values["rules"]
        active = sum(rule.is_active for rule in rule_set.rules) if rule_set else 0
        yield Gauge("cadence_database_up", "Whether the database answers.", {"": 1})
        yield Gauge("cadence_rules_active", "Rules in force.", {"": active})
        yield from answers.values.get("upkeep", ())

    return read
