"""Who wins an experiment: the variant that is surely ahead of each other one, by enough."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from push_blaster.domain.automations.experiment import Experiment, Metric, WhenUnsure
from push_blaster.domain.engagement.comparison import (
    Comparison,
    ComparisonVerdict,
    Stratum,
    compare,
    count_pairs,
)
from push_blaster.domain.engagement.sentences import DOES, Words


class Arm(NamedTuple):
    """The users of one variant in one execution, and how many of them opened or converted."""

    users: int
    events: int


#: The arms of one execution by variant.
Trial = Mapping[str, Arm]
_NOBODY: Final = Arm(0, 0)
_DONE: Final = {Metric.OPENED: "opened it", Metric.CONVERTED: "reached the goal"}


@dataclass(frozen=True, slots=True)
class Choice:
    """The variant for the users who did not test, None for nothing, and why in sentences."""

    variant: str | None
    is_sure: bool
    reason: str


def choose_winner(
    experiment: Experiment, variants: Sequence[str], trials: Sequence[Trial]
) -> Choice:
    """Return which of `variants`, at least two, wins; if none surely does, what was asked for."""
    sums = add_up(variants, trials)
    ranking = sorted(variants, key=lambda name: -_rate(sums[name]))
    doubt = _find_lack(experiment, sums)
    if doubt is None:
        found = [_compare(experiment, other, ranking[0], ranking, trials) for other in ranking[1:]]
        doubt = _find_doubt(experiment, ranking, sums, found)
        if doubt is None:
            reason = f"{ranking[0]} wins. {found[0].sentence}. {_list(experiment, sums)}."
            return Choice(ranking[0], True, f"{reason} The others get {ranking[0]}.")
    if experiment.when_unsure is WhenUnsure.NOBODY:
        return Choice(None, False, f"{doubt} The others get nothing.")
    return Choice(variants[0], False, f"{doubt} The others get the first variant, {variants[0]}.")


def add_up(variants: Sequence[str], trials: Sequence[Trial]) -> dict[str, Arm]:
    """Return the users and events of each variant in all executions together."""
    found = {name: [trial[name] for trial in trials if name in trial] for name in variants}
    return {
        name: Arm(sum(arm.users for arm in arms), sum(arm.events for arm in arms))
        for name, arms in found.items()
    }


def _compare(
    experiment: Experiment,
    first: str,
    second: str,
    variants: Sequence[str],
    trials: Sequence[Trial],
) -> Comparison:
    strata = [Stratum(*trial.get(first, _NOBODY), *trial.get(second, _NOBODY)) for trial in trials]
    terms = Words(first, second, DOES[experiment.metric])
    return compare(strata, terms, count_pairs(len(variants)))


def _find_lack(experiment: Experiment, sums: Mapping[str, Arm]) -> str | None:
    """Return why the variants cannot be compared at all, or None."""
    empty = [name for name, arm in sums.items() if not arm.users]
    if empty:
        return f"The variant {empty[0]} was sent to nobody, so no variant surely wins."
    if not any(arm.events for arm in sums.values()):
        users = sum(arm.users for arm in sums.values())
        done = _DONE[experiment.metric]
        return f"None of {users} users is known to have {done}, so no variant surely wins."
    return None


def _find_doubt(
    experiment: Experiment,
    ranking: Sequence[str],
    sums: Mapping[str, Arm],
    found: Sequence[Comparison],
) -> str | None:
    """Return why the best variant does not surely win, or None."""
    figures = _list(experiment, sums)
    unsure = [one for one in found if one.verdict is not ComparisonVerdict.MORE]
    if unsure:
        return f"No variant surely wins. {unsure[0].sentence}. {figures}."
    best, second = ranking[:2]
    lead = (_rate(sums[best]) / _rate(sums[second]) - 1) * 100 if sums[second].events else None
    if lead is None or lead >= experiment.minimum_lead:
        return None
    wanted = f"{experiment.minimum_lead:g} %"
    return f"{best} is {lead:.1f} % ahead of {second}, less than {wanted}. {figures}."


def _rate(arm: Arm) -> float:
    return arm.events / arm.users if arm.users else 0.0


def _list(experiment: Experiment, sums: Mapping[str, Arm]) -> str:
    figures = [f"{name} {arm.events} of {arm.users}" for name, arm in sums.items()]
    return f"Users who have {_DONE[experiment.metric]}: {', '.join(figures)}"
