"""The tables of layers and rules; rules are replaced as a set, and old sets are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cadence_service.domain.cadence import CadenceRule
from chassis.postgres import BulkConnection


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
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, name, description, is_exempt FROM notification_layers ORDER BY id"
        )
        return [Layer(*row) for row in cursor]


def update_layer(connection: BulkConnection, layer: Layer) -> None:
    """Write over the layer of this id."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE notification_layers
               SET name = %(name)s, description = %(description)s, is_exempt = %(is_exempt)s
             WHERE id = %(id)s
            """,
            {
                "id": layer.id,
                "name": layer.name,
                "description": layer.description,
                "is_exempt": layer.is_exempt,
            },
        )


def select_rule_set(connection: BulkConnection, version: int | None = None) -> RuleSet | None:
    """Return the newest set of rules, or the one of this version; None if there is none."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT version, created_at FROM rule_sets
             WHERE %(version)s::int IS NULL OR version = %(version)s::int
             ORDER BY version DESC LIMIT 1
            """,
            {"version": version},
        )
        newest = cursor.fetchone()
        if newest is None:
            return None
        cursor.execute(
            """
            SELECT name, applies_to_layers, counted_layers, window_hours, max_count, is_active,
                   description
              FROM cadence_rules
             WHERE set_version = %(version)s
             ORDER BY position
            """,
            {"version": newest[0]},
        )
        rules = tuple(
            CadenceRule(
                name=row[0],
                applies_to_layers=frozenset(row[1]),
                counted_layers=frozenset(row[2]),
                window=timedelta(hours=row[3]),
                max_count=row[4],
                is_active=row[5],
                description=row[6],
            )
            for row in cursor
        )
    return RuleSet(newest[0], newest[1], rules)


def insert_rule_set(connection: BulkConnection, rules: Sequence[CadenceRule]) -> int:
    """Put `rules` in force as a new set, and return its version."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO rule_sets DEFAULT VALUES RETURNING version")
        row = cursor.fetchone()
        version = int(row[0]) if row else 0
        for position, rule in enumerate(rules, start=1):
            cursor.execute(
                """
                INSERT INTO cadence_rules
                VALUES (%(version)s, %(position)s, %(name)s, %(description)s,
                        %(applies_to)s::smallint[], %(counted)s::smallint[], %(hours)s,
                        %(max_count)s, %(is_active)s)
                """,
                {
                    "version": version,
                    "position": position,
                    "name": rule.name,
                    "description": rule.description,
                    "applies_to": sorted(rule.applies_to_layers),
                    "counted": sorted(rule.counted_layers),
                    "hours": rule.window / timedelta(hours=1),
                    "max_count": rule.max_count,
                    "is_active": rule.is_active,
                },
            )
    return version
