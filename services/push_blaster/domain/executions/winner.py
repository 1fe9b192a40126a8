"""Who wins an experiment: variants compared by their first events, valid whenever one looks.

Under "no difference" an event comes from the second of two variants with the share p of its users
among the users of both. The product over executions of the likelihood ratios at one ratio of the
rates, averaged over ratios around 1, is a fair bet against "no difference": it exceeds 1/α in at
most α of all experiments, however often somebody looks.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from push_blaster.domain.automations.experiment import Experiment, Metric, WhenUnsure

#: How often a difference may be called where there is none.
ALPHA: Final = 0.05
#: The ratios of rates that are expected, on the scale of logarithms: around 0, this far apart.
_SPREAD: Final = 0.2
_STEPS: Final = [number / 20 for number in range(-100, 101)]
_PRIOR: Final = {_SPREAD * step: -step * step / 2 for step in _STEPS}
_WHOLE: Final = math.log(sum(map(math.exp, _PRIOR.values())))
#: The ratios among which the interval of a ratio is looked for, on the same scale.
_SOUGHT: Final = [number / 200 for number in range(-600, 601)]


class Arm(NamedTuple):
    """The users of one variant in one execution, and how many of them opened or converted."""

    users: int
    events: int


#: The arms of one execution by variant.
Trial = Mapping[str, Arm]


class Comparison(NamedTuple):
    """Whether two variants surely differ, and the ratio of their rates: lowest and highest."""

    is_sure: bool
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Choice:
    """The variant for the users who did not test, None for nothing, and why in a sentence."""

    variant: str | None
    is_sure: bool
    reason: str


def choose_winner(
    experiment: Experiment, variants: Sequence[str], trials: Sequence[Trial]
) -> Choice:
    """Return which of `variants`, at least two, wins; if none surely does, what was asked for."""
    sums = add_up(variants, trials)
    ranking = sorted(variants, key=lambda name: -_rate(sums[name]))
    found = _find_lead(experiment, ranking, sums, trials)
    if isinstance(found, Comparison):
        best, second = ranking[:2]
        lead = f"{_PASSIVE[experiment.metric]} {_spell(found)} more often than {second} so far"
        figures = _list(experiment, sums)
        return Choice(best, True, f"{best} wins: {best} {lead} ({figures}). The others get {best}.")
    if experiment.when_unsure is WhenUnsure.NOBODY:
        return Choice(None, False, f"{found} The others get nothing.")
    first = variants[0]
    return Choice(first, False, f"{found} The others get the first variant, {first}.")


def _find_lead(
    experiment: Experiment,
    ranking: Sequence[str],
    sums: Mapping[str, Arm],
    trials: Sequence[Trial],
) -> Comparison | str:
    """Return how far the best variant is ahead of the second; or why none surely wins."""
    lacking = _find_lack(experiment, sums)
    if lacking:
        return f"{lacking}, so no variant surely wins."
    best, second = ranking[:2]
    pairs = len(ranking) * (len(ranking) - 1) // 2
    found = [compare(other, best, trials, ALPHA / pairs) for other in ranking[1:]]
    figures = _list(experiment, sums)
    if not all(one.is_sure for one in found):
        return f"No variant surely wins so far ({figures})."
    lead = _rate(sums[best]) / _rate(sums[second]) - 1 if sums[second].events else math.inf
    if lead * 100 < experiment.minimum_lead:
        wanted = f"{experiment.minimum_lead:g} %"
        return f"{best} is {lead * 100:.1f} % ahead of {second}, less than {wanted} ({figures})."
    return found[0]


def _find_lack(experiment: Experiment, sums: Mapping[str, Arm]) -> str | None:
    """Return why the variants cannot be compared at all, or None."""
    empty = [name for name, arm in sums.items() if not arm.users]
    if empty:
        return f"The variant {empty[0]} was sent to nobody"
    if not any(arm.events for arm in sums.values()):
        users = sum(arm.users for arm in sums.values())
        return f"None of {users} users is known to have {_DONE[experiment.metric]}"
    return None


def compare(first: str, second: str, trials: Sequence[Trial], alpha: float = ALPHA) -> Comparison:
    """Return whether two variants surely differ; the ratio is that of `second` to `first`."""
    pairs = [
        (trial[first], trial[second])
        for trial in trials
        if first in trial and second in trial and trial[first].users and trial[second].users
    ]
    likelihoods = {step: _likelihood(step, pairs) for step in {*_PRIOR, *_SOUGHT, 0.0}}
    weighed = [weight + likelihoods[step] for step, weight in _PRIOR.items()]
    highest = max(weighed)
    mixture = highest + math.log(sum(math.exp(one - highest) for one in weighed)) - _WHOLE
    limit = math.log(1 / alpha)
    inside = [step for step in _SOUGHT if mixture - likelihoods[step] < limit]
    is_sure = mixture - likelihoods[0.0] >= limit
    if not inside:
        return Comparison(is_sure, 0.0, math.inf)
    low, high = min(inside), max(inside)
    return Comparison(
        is_sure,
        math.exp(low) if low > _SOUGHT[0] else 0.0,
        math.exp(high) if high < _SOUGHT[-1] else math.inf,
    )


def _likelihood(step: float, pairs: Sequence[tuple[Arm, Arm]]) -> float:
    """Return the logarithm of how much likelier the events are at a ratio than at equal rates."""
    ratio, total = math.exp(step), 0.0
    for one, other in pairs:
        share = other.users / (one.users + other.users)
        moved = ratio * share / (1 - share + ratio * share)
        total += other.events * math.log(moved / share)
        total += one.events * math.log((1 - moved) / (1 - share))
    return total


def add_up(variants: Sequence[str], trials: Sequence[Trial]) -> dict[str, Arm]:
    """Return the users and events of each variant in all executions together."""
    found = {name: [trial[name] for trial in trials if name in trial] for name in variants}
    return {
        name: Arm(sum(arm.users for arm in arms), sum(arm.events for arm in arms))
        for name, arms in found.items()
    }


def _rate(arm: Arm) -> float:
    return arm.events / arm.users if arm.users else 0.0


def _list(experiment: Experiment, sums: Mapping[str, Arm]) -> str:
    figures = [f"{name}: {arm.events} of {arm.users}" for name, arm in sums.items()]
    return f"{', '.join(figures)} users have {_DONE[experiment.metric]}"


def _spell(found: Comparison) -> str:
    """Return by how much the rate is higher, in percent: `8 to 21 %`."""
    low = max(0, round((found.low - 1) * 100))
    if math.isinf(found.high):
        return f"at least {low} %"
    return f"{low} to {round((found.high - 1) * 100)} %"


_DONE: Final = {Metric.OPENED: "opened it", Metric.CONVERTED: "reached the goal"}
_PASSIVE: Final = {Metric.OPENED: "is opened", Metric.CONVERTED: "leads to the goal"}
