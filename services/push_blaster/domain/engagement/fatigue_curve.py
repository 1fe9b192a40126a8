"""The fatigue curve, as API and pages show it, and its sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from push_blaster.domain.engagement.comparison import Comparison, ComparisonVerdict
from push_blaster.domain.engagement.fatigue import LEVELS, RelativeRate
from push_blaster.domain.engagement.results import share
from push_blaster.domain.engagement.sentences import (
    DOES,
    Words,
    round_count,
    say_alike,
    say_less,
    say_more,
    say_unsure,
)

#: The pushes of so many days make a curve; each of them counts the pushes of the 7 days before it.
PERIOD: Final = timedelta(days=28)
RECENT: Final = timedelta(days=7)
#: With fewer events at both levels together, an interval is not told.
FEW_EVENTS: Final = 30
#: Two levels do equally well if neither surely does better by more than this factor.
ALIKE: Final = 1.1
FIRST: Final = "the first push in 7 days"
_NAMES: Final = ("first", "second", "third", "fourth", "fifth", "sixth")
_CAPPED: Final = Words(
    "the other pushes to the same users", "these pushes", "are opened", are_phrases=True
)
_TOO_EARLY: Final = "Too early to tell"


@dataclass(frozen=True, slots=True)
class FatigueLevel:
    """The pushes that were a user's n-th in 7 days, and how they compare with the first ones.

    Shape: `level` is n; the last level has all later pushes, too. Rates are raw: they compare
    different users. `opening` compares each user with the same user; `opting_out` compares users
    with equally many planned pushes. Both are None at level 1.
    """

    level: int
    pushes: int = 0
    opened: int = 0
    opted_out: int = 0
    opening: Comparison | None = None
    opting_out: Comparison | None = None

    @property
    def open_rate(self) -> float | None:
        """Return the share of the pushes that were opened."""
        return share(self.opened, self.pushes)

    @property
    def opt_out_rate(self) -> float | None:
        """Return the share of the pushes that led to an opt-out."""
        return share(self.opted_out, self.pushes)


@dataclass(frozen=True, slots=True, kw_only=True)
class FatigueCurve:
    """How opening and opting out change with the number of recent pushes.

    Shape: pushes of one layer, or of all layers if it is None; `since` and `until` are None while
    no push is old enough. `users` are in the sample, which is `share_of_users` of all users.
    """

    layer_id: int | None
    since: datetime | None
    until: datetime | None
    users: int
    share_of_users: float
    levels: Sequence[FatigueLevel]
    sentence: str


def describe_levels(
    counts: Mapping[int, tuple[int, int, int]],
    opening: Mapping[int, RelativeRate],
    opting_out: Mapping[int, RelativeRate],
) -> list[FatigueLevel]:
    """Return every level with its comparisons.

    Shape: the counts of a level are its pushes, those that were opened, and the opt-outs.
    """
    found = [FatigueLevel(n, *counts.get(n, (0, 0, 0))) for n in range(1, LEVELS + 1)]
    return [found[0], *(_compare(one, opening, opting_out) for one in found[1:])]


def name_level(level: int) -> str:
    """Return the pushes of a level in words."""
    name = f"{_NAMES[level - 1]} push in 7 days"
    return f"the {name}" if level < LEVELS else f"the {name} or a later one"


def say_curve(levels: Sequence[FatigueLevel]) -> str:
    """Return the sentence of the last level that has a sure one."""
    found = [one.opening for one in levels if one.opening]
    sure = [one for one in found if one.verdict is not ComparisonVerdict.TOO_EARLY]
    if sure:
        return sure[-1].sentence
    if not any(one.pushes for one in levels):
        return f"{_TOO_EARLY}: the first figures come 8 days after the first live push"
    return f"{_TOO_EARLY}: there are too few users with several pushes in 7 days"


def describe_rate(rate: RelativeRate | None, terms: Words) -> Comparison:
    """Return what a relative rate says; its interval holds for one look."""
    if rate is None or rate.events < FEW_EVENTS:
        counted = f"{rate.events:,}" if rate else "nothing"
        sentence = f"{_TOO_EARLY}: {counted} to compare so far"
        return Comparison(ComparisonVerdict.TOO_EARLY, sentence)
    verdict, sentence = _judge(rate, terms)
    return Comparison(verdict, sentence, rate.ratio, rate.low, rate.high, is_fixed=True)


def describe_capped(rate: RelativeRate | None) -> Comparison:
    """Return how often the pushes that rules would cap are opened, against all other pushes."""
    return describe_rate(rate, _CAPPED)


def say_cap(fewer: int, period: timedelta, capped: Comparison) -> str:
    """Return what rules cost and save: how many fewer pushes a week, and what users did with them.

    Units: `fewer` pushes in the period; below 0, the rules allow more pushes.
    """
    if not fewer:
        return "These rules would have capped as many pushes as the rules in force."
    count = _say_count(abs(fewer) * timedelta(weeks=1) / period, "more" if fewer > 0 else "fewer")
    said = f"These rules would have capped {count} a week."
    return f"{said} {capped.sentence}." if fewer > 0 else said


def _compare(
    level: FatigueLevel, opening: Mapping[int, RelativeRate], opting_out: Mapping[int, RelativeRate]
) -> FatigueLevel:
    name, number = name_level(level.level), level.level
    return replace(
        level,
        opening=describe_rate(opening.get(number), _name(name, "opened")),
        opting_out=describe_rate(opting_out.get(number), _name(name, "opted_out")),
    )


def _name(level: str, metric: str) -> Words:
    return Words(FIRST, level, DOES[metric], are_phrases=True)


def _judge(rate: RelativeRate, terms: Words) -> tuple[ComparisonVerdict, str]:
    if rate.low > 1:
        return ComparisonVerdict.MORE, say_more(terms, rate.low, rate.high)
    if rate.high < 1:
        return ComparisonVerdict.LESS, say_less(terms, rate.low, rate.high)
    if rate.low > 1 / ALIKE and rate.high < ALIKE:
        return ComparisonVerdict.ALIKE, say_alike(terms, rate.low, rate.high)
    return ComparisonVerdict.TOO_EARLY, say_unsure(terms, rate.low, rate.high)


def _say_count(pushes: float, more: str) -> str:
    """Return a number of pushes with three digits that mean something."""
    count = round_count(pushes, digits=3)
    if count < 1:
        return f"less than one {more} push"
    return f"about {count:,} {more} {'push' if count == 1 else 'pushes'}"
