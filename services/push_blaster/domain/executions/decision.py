"""The decision which variant of a push the users get who did not test its variants."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from push_blaster.domain.automations.automation import Push
from push_blaster.domain.executions.winner import Trial, add_up, choose_winner


@dataclass(frozen=True, slots=True, kw_only=True)
class PushDecision:
    """Who tests the variants of a push, when its winner is decided, and what was decided.

    Shape: `draw` chooses the testers. `variant` goes to the others; None before the decision, or if
    they get nothing. `figures` has users and events of each variant, as they were counted.
    """

    draw: str
    decides_at: datetime
    decided_at: datetime | None = None
    variant: str | None = None
    is_sure: bool = False
    reason: str | None = None
    figures: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def make_decision(
    known: PushDecision, push: Push, trials: Sequence[Trial], now: datetime
) -> PushDecision:
    """Return the decision about an experiment by its trials, this one and earlier ones."""
    variants = [variant.id for variant in push.variants]
    if push.experiment is None:
        return known
    choice = choose_winner(push.experiment, variants, trials)
    sums = add_up(variants, trials)
    return replace(
        known,
        decided_at=now,
        variant=choice.variant,
        is_sure=choice.is_sure,
        reason=choice.reason,
        figures={name: arm._asdict() for name, arm in sums.items()},
    )
