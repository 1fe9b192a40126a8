"""Rules on the wire: what RuleSchema loads, and what it dumps."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cadence_service.domain.cadence import CadenceRule


def read_rule(loaded: Mapping[str, Any]) -> CadenceRule:
    """Return the rule that RuleSchema loaded."""
    return CadenceRule(
        name=loaded["name"],
        description=loaded["description"],
        applies_to_layers=frozenset(loaded["applies_to_layers"]),
        counted_layers=frozenset(loaded["counted_layers"]),
        window=timedelta(hours=loaded["window_hours"]),
        max_count=loaded["max_count"],
        is_active=loaded["is_active"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleShape:
    """A rule as RuleSchema dumps it."""

    name: str
    description: str
    applies_to_layers: list[int]
    counted_layers: list[int]
    window_hours: float
    max_count: int
    is_active: bool


def shape_rule(rule: CadenceRule) -> RuleShape:
    """Return the rule as RuleSchema dumps it."""
    return RuleShape(
        name=rule.name,
        description=rule.description,
        applies_to_layers=sorted(rule.applies_to_layers),
        counted_layers=sorted(rule.counted_layers),
        window_hours=rule.window / timedelta(hours=1),
        max_count=rule.max_count,
        is_active=rule.is_active,
    )
