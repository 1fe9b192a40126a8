"""The tables of layers and rules; rules are replaced as a set, and old sets are kept."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from cadence_service.domain.cadence import CadenceRule, read_rule
from chassis.postgres import BulkConnection
from chassis.rows import execute, fetch_all, fetch_one, fetch_value


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules in force, in order of precedence."""

    version: int
    created_at: datetime
    rules: tuple[CadenceRule, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of notifications."""

    id: int
    name: str
    description: str
    is_exempt: bool


def select_layers(connection: BulkConnection) -> list[Layer]:
    """Return every layer."""
    layers = "SELECT id, name, description, is_exempt FROM notification_layers ORDER BY id"
    return fetch_all(connection, layers, make=Layer)


def update_layer(connection: BulkConnection, layer: Layer) -> None:
    """Write over the layer of this id."""
    sql = """
        UPDATE notification_layers
           SET name = %(name)s, description = %(description)s, is_exempt = %(is_exempt)s
         WHERE id = %(id)s
    """
    execute(connection, sql, asdict(layer))


def select_rule_set(connection: BulkConnection, version: int | None = None) -> RuleSet | None:
    """Return the newest set of rules, or the set of this version; None if there is no such set."""
    sql = """
        SELECT version, created_at FROM rule_sets
         WHERE %(version)s::int IS NULL OR version = %(version)s::int
         ORDER BY version DESC LIMIT 1
    """
    newest = fetch_one(connection, sql, {"version": version})
    if newest is None:
        return None
    sql = """
        SELECT name, applies_to_layers, counted_layers, window_hours, max_count, is_active,
               description
          FROM cadence_rules
         WHERE set_version = %(version)s
         ORDER BY position
    """
    rules = fetch_all(connection, sql, {"version": newest[0]}, make=read_rule, by_name=True)
    return RuleSet(newest[0], newest[1], tuple(rules))


def insert_rule_set(connection: BulkConnection, rules: Sequence[CadenceRule]) -> int:
    """Put `rules` in force as a new set, and return its version."""
    version: int = fetch_value(connection, "INSERT INTO rule_sets DEFAULT VALUES RETURNING version")
    for position, rule in enumerate(rules, start=1):
        sql = """
            INSERT INTO cadence_rules
            VALUES (%(version)s, %(position)s, %(name)s, %(description)s,
                    %(applies_to_layers)s::smallint[], %(counted_layers)s::smallint[],
                    %(window_hours)s, %(max_count)s, %(is_active)s)
        """
        execute(connection, sql, {**rule.to_document(), "version": version, "position": position})
    return version
