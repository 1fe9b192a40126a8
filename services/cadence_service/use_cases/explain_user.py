"""Explain how cadence stands with one user."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cadence_service.adapters.exclusion_table import Exclusion
from cadence_service.adapters.rule_table import select_layers
from cadence_service.domain.user_ids import read_uuids
from cadence_service.use_cases.filter_audience import explain, read_rules
from chassis.postgres import BulkConnection


@dataclass(frozen=True, slots=True)
class LayerStanding:
    """Why the user is held back on a layer, or None; and the fault by which nobody is checked."""

    layer_id: int
    exclusion: Exclusion | None
    fault: str | None


def explain_user(connection: BulkConnection, user_id: UUID, at: datetime) -> list[LayerStanding]:
    """Return, for each layer, whether a push at `at` would be held back, and why."""
    standings = []
    for layer in select_layers(connection):
        in_force = read_rules(connection, layer.id)
        exclusion = explain(connection, read_uuids([user_id]), in_force.rules, at).get(0)
        standings.append(LayerStanding(layer.id, exclusion, in_force.fault))
    return standings
