"""Explain whether one user may get a push, layer by layer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from cadence_service.adapters.exclusion_table import Exclusion
from cadence_service.adapters.rule_table import select_layers
from cadence_service.domain.user_ids import read_uuids
from cadence_service.use_cases.filter_audience import explain, read_rules
from chassis.postgres import BulkConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerEligibility:
    """Whether a user may get a push on a layer; if not, by which rule, and until when.

    Shape: if nobody is checked on this layer, `fail_open_reason` says why.
    """

    layer_id: int
    fail_open_reason: str | None
    eligible: bool = True
    rule: str | None = None
    counted_sends: Sequence[datetime] = ()
    next_eligible_at: datetime | None = None


def explain_user(connection: BulkConnection, user_id: UUID, at: datetime) -> list[LayerEligibility]:
    """Return, for each layer, whether a push at `at` would be capped, and why."""
    layers = []
    for layer in select_layers(connection):
        in_force = read_rules(connection, layer.id)
        exclusion = explain(connection, read_uuids([user_id]), in_force.rules, at).get(0)
        open_layer = LayerEligibility(layer_id=layer.id, fail_open_reason=in_force.fault)
        layers.append(_exclude(open_layer, exclusion) if exclusion else open_layer)
    return layers


def _exclude(layer: LayerEligibility, exclusion: Exclusion) -> LayerEligibility:
    return replace(
        layer,
        eligible=False,
        rule=exclusion.rule,
        counted_sends=exclusion.counted_sends,
        next_eligible_at=exclusion.next_eligible_at,
    )
