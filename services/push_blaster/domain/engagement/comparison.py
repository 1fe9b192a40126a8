"""Two groups of users compared: how much more often one of them does something, and how sure.

A group has the users of a variant, of a holdout, or those who were offered a push. Users count
once: in an execution, users are at risk if they have no counted event of the same texts yet.
Source: docs/statistics.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil, log, log1p
from typing import Final, NamedTuple

from push_blaster.domain.engagement.event_evidence import PRIOR_EVENTS, Draws, Evidence, weigh
from push_blaster.domain.engagement.final_ratio import Shares, find_final_interval
from push_blaster.domain.engagement.sentences import (
    Words,
    say_alike,
    say_less,
    say_more,
    say_nothing,
    say_too_early,
    say_unsure,
)

#: How often a comparison of groups that do equally well may call a difference.
ALPHA: Final = 0.05
#: Above this share of users with an event, events no longer stand for rates.
MANY: Final = 0.3
#: Groups do equally well if neither surely does better by more than this factor.
ALIKE: Final = 1.05
#: With fewer events, nobody can say how many more users are needed.
FEW_EVENTS: Final = 10


class ComparisonVerdict(StrEnum):
    """What is known of the second group against the first one."""

    MORE = "more"
    LESS = "less"
    ALIKE = "alike"
    TOO_EARLY = "too_early"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Stratum:
    """One execution: users at risk and first events of two groups.

    `is_open` says that more events may come in.
    """

    users_a: int
    events_a: int
    users_b: int
    events_b: int
    is_open: bool = True

    @property
    def is_comparable(self) -> bool:
        """Return whether both groups have users."""
        return self.users_a > 0 and self.users_b > 0

    @property
    def users(self) -> int:
        """Return the users of both groups."""
        return self.users_a + self.users_b

    @property
    def events(self) -> int:
        """Return the events of both groups."""
        return self.events_a + self.events_b


class Bounds(NamedTuple):
    """The interval of a ratio; without an upper bound, `high` is None."""

    low: float
    high: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the counts say of the second group against the first one.

    Shape: `ratio` is the rate of the second group by the rate of the first one, None if the first
    group has no events; `low` to `high` is its interval, without an upper bound if `high` is None;
    there is no interval only if there is nothing to compare. `is_fixed`: it is the ordinary
    interval of final counts.
    """

    verdict: ComparisonVerdict
    sentence: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    users_needed: int | None = None
    is_so_far: bool = False
    is_fixed: bool = False


def count_pairs(groups: int) -> int:
    """Return how many pairs so many groups make: the `pairs` of each of their comparisons."""
    return max(1, groups * (groups - 1) // 2)


def compare(strata: Sequence[Stratum], terms: Words | None = None, pairs: int = 1) -> Comparison:
    """Return what the counts by execution say; it holds at any look, however often.

    Shape: one stratum an execution; `pairs` comparisons are told side by side.
    """
    terms = terms or Words()
    useful = [stratum for stratum in strata if stratum.is_comparable]
    if not useful:
        return _find_nothing(strata, terms)
    alpha = ALPHA / max(1, pairs)
    is_one = len(useful) == 1 and not useful[0].is_open
    if is_one and useful[0].events > MANY * useful[0].users:
        return _compare_final(useful[0], terms, alpha)
    return _compare_events(useful, terms, alpha)


def _find_nothing(strata: Sequence[Stratum], terms: Words) -> Comparison:
    has_first = any(s.users_a > 0 for s in strata)
    has_second = any(s.users_b > 0 for s in strata)
    return Comparison(
        ComparisonVerdict.NOTHING, say_nothing(terms, has_first=has_first, has_second=has_second)
    )


def _compare_final(stratum: Stratum, terms: Words, alpha: float) -> Comparison:
    """Return the comparison of one execution in which many users have an event, at its end."""
    shares = Shares(
        stratum.users_a,
        min(stratum.events_a, stratum.users_a),
        stratum.users_b,
        min(stratum.events_b, stratum.users_b),
    )
    bounds = Bounds(*find_final_interval(shares, alpha))
    verdict = _judge(bounds)
    sentence = _say(verdict, terms, bounds) or say_unsure(terms, *bounds)
    return Comparison(verdict, sentence, shares.ratio, *bounds, is_fixed=True)


def _compare_events(strata: Sequence[Stratum], terms: Words, alpha: float) -> Comparison:
    """Return the comparison of the events of all executions."""
    evidence = weigh([Draws(log(s.users_b / s.users_a), s.events_a, s.events_b) for s in strata])
    bounds = Bounds(*evidence.find_interval(alpha))
    verdict = _judge(bounds)
    is_so_far = any(s.is_open for s in strata)
    needed = (
        _find_users_needed(strata, evidence, alpha)
        if verdict is ComparisonVerdict.TOO_EARLY
        else None
    )
    sentence = _say(verdict, terms, bounds, " so far" if is_so_far else "")
    sentence = sentence or say_too_early(sum(s.events for s in strata), needed)
    return Comparison(verdict, sentence, evidence.find_ratio(), *bounds, needed, is_so_far)


def _judge(bounds: Bounds) -> ComparisonVerdict:
    low, high = bounds
    if low > 1:
        return ComparisonVerdict.MORE
    if high is None or high >= 1:
        is_near = high is not None and low >= 1 / ALIKE and high <= ALIKE
        return ComparisonVerdict.ALIKE if is_near else ComparisonVerdict.TOO_EARLY
    return ComparisonVerdict.LESS


def _say(verdict: ComparisonVerdict, terms: Words, bounds: Bounds, when: str = "") -> str:
    """Return the sentence of a verdict that is sure; nothing of one that is not."""
    low, high = bounds
    if verdict is ComparisonVerdict.MORE:
        return say_more(terms, low, high, when)
    if high is None or verdict is ComparisonVerdict.TOO_EARLY:
        return ""
    say = say_less if verdict is ComparisonVerdict.LESS else say_alike
    return say(terms, low, high, when)


def _find_users_needed(strata: Sequence[Stratum], evidence: Evidence, alpha: float) -> int | None:
    """Return about how many more users it takes if the ratio stays as it is; None if unknown."""
    events, users = sum(s.events for s in strata), sum(s.users for s in strata)
    gain = evidence.find_gain() / max(events, 1)
    if events < FEW_EVENTS or gain < 1e-9:
        return None
    more = find_events_needed(gain, evidence.find_against(1.0), events, alpha)
    return ceil(more * users / events)


def find_events_needed(
    gain: float, evidence: float = 0.0, events: float = 0.0, alpha: float = ALPHA
) -> float:
    """Return how many more events it takes until a difference is called.

    Units: `gain` is what an event adds to the evidence, a logarithm like `evidence`, which `events`
    gave so far. The mixture loses a part of it.
    """
    missing = log(1 / alpha) - evidence
    more = 0.0
    for _ in range(50):
        more = (missing + log1p(more / (PRIOR_EVENTS + events)) / 2) / gain
    return more
