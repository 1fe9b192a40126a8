"""Rules on the wire: what was sent as a rule, and a rule as it is shown."""

from datetime import timedelta
from typing import Any

from cadence_service.domain.cadence import CadenceRule


def read_rule(sent: dict[str, Any]) -> CadenceRule:
    """Return the rule that RuleSchema loaded."""
    return CadenceRule(
        name=sent["name"],
        description=sent["description"],
        applies_to_layers=frozenset(sent["applies_to_layers"]),
        counted_layers=frozenset(sent["counted_layers"]),
        window=timedelta(hours=sent["window_hours"]),
        max_count=sent["max_count"],
        is_active=sent["is_active"],
    )


def show_rule(rule: CadenceRule) -> dict[str, Any]:
    """Return the rule as RuleSchema dumps it."""
    return {
        "name": rule.name,
        "description": rule.description,
        "applies_to_layers": sorted(rule.applies_to_layers),
        "counted_layers": sorted(rule.counted_layers),
        "window_hours": rule.window / timedelta(hours=1),
        "max_count": rule.max_count,
        "is_active": rule.is_active,
    }
