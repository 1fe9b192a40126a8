"""Find the users who got more pushes than the rules allow, after sends without a cap check."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from cadence_service.adapters.notification_history import select_over_cap
from cadence_service.domain.cadence import Send
from cadence_service.domain.user_ids import UserIds
from cadence_service.use_cases.filter_audience import read_rules
from chassis.postgres import BulkConnection


@dataclass(frozen=True, slots=True)
class OverCap:
    """The users who got more than a rule allows, by rule; several rules may name the same user.

    Shape: if the layer should have rules and none applies, `fail_open_reason` says why.
    """

    rules_version: int | None
    by_rule: Mapping[str, Sequence[UUID]]
    fail_open_reason: str | None

    @property
    def users(self) -> int:
        """How many users these are."""
        return len(set().union(*self.by_rule.values()))


def find_over_cap(connection: BulkConnection, users: UserIds, own: Send) -> OverCap:
    """Return which of `users` got the recorded send `own` beyond what the present rules allow."""
    in_force = read_rules(connection, own.layer_id)
    found = {rule.name: select_over_cap(connection, users, rule, own) for rule in in_force.rules}
    return OverCap(in_force.version, found, in_force.fault)
