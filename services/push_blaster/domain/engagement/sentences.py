"""The sentences that people read about comparisons: one wording for API, pages and decisions."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor, log10
from typing import Final

#: What the users of a group do, by the name of the metric.
DOES: Final[Mapping[str, str]] = {
    "delivered": "is delivered",
    "opened": "is opened",
    "dismissed": "is dismissed",
    "action": "leads to a pressed button",
    "opted_out": "leads to an opt-out",
    "converted": "leads to the goal",
}


#: Greater ratios say nothing more than that one group hardly does it.
MOST_TIMES: Final = 100.0


@dataclass(frozen=True, slots=True)
class Words:
    """The names of both groups, and what is counted: `{second} {does} more often than {first}`.

    Shape: the ids of variants are told as they are; names that `are_phrases` begin a sentence with
    a capital.
    """

    first: str = "A"
    second: str = "B"
    does: str = DOES["opened"]
    are_phrases: bool = False


#: A ratio so small is told as none, and above this one no percentage is told.
_NOTHING: Final = 0.005
_MUCH: Final = 10.0
#: The holdout against all users who were offered the push.
UPLIFT: Final = Words(
    "the holdout", "the group that was offered the push", "reaches the goal", True
)


def say_more(terms: Words, low: float, high: float | None, when: str = "") -> str:
    """Return how much more often the second group does it, for a ratio from `low`, above 1."""
    if high is None or high > 2:
        amount = f"{_times(low, high)} as often as"
    else:
        amount = f"{_join(_percent(low - 1), _percent(high - 1))} % more often than"
    return _sentence(terms, f"{terms.second} {terms.does} {amount} {terms.first}{when}")


def say_less(terms: Words, low: float, high: float, when: str = "") -> str:
    """Return how much less often the second group does it, for a ratio up to `high`, below 1."""
    least = _percent(1 - high)
    amount = _join(least, _percent(1 - low)) if low > _NOTHING else f"at least {least}"
    said = f"{terms.second} {terms.does} {amount} % less often than {terms.first}{when}"
    return _sentence(terms, said)


def say_alike(terms: Words, low: float, high: float, when: str = "") -> str:
    """Return that both groups do equally well, and how far apart they are at most."""
    apart = max(1 - low, high - 1)
    most = f"at most {_percent(apart)} %" if apart >= 0.001 else "less than 0.1 %"
    pair = f"{terms.second} and {terms.first}"
    return _sentence(terms, f"{pair} do equally well{when}: the difference is {most}")


def say_unsure(terms: Words, low: float, high: float | None) -> str:
    """Return that the final counts of one execution show no sure difference."""
    less = "much less often" if low <= _NOTHING else f"{_percent(1 - low)} % less often"
    is_much = high is None or high > _MUCH
    more = "much more often" if is_much else f"{_percent((high or 1) - 1)} % more often"
    said = f"{terms.second} {terms.does} between {less} and {more} than {terms.first}"
    return f"No sure difference: {said}"


def say_too_early(events: int, users_needed: int | None) -> str:
    """Return that nothing is sure yet, and about how many more users it takes, if known."""
    if users_needed is not None:
        return f"Too early to tell: about {round_count(users_needed):,} more users"
    return f"Too early to tell: {f'{events:,}' if events else 'nothing'} counted so far"


def say_nothing(terms: Words, *, has_first: bool, has_second: bool) -> str:
    """Return which group has no users, so that there is nothing to compare."""
    if not has_first and not has_second:
        return "Nothing to compare: no users yet"
    return f"Nothing to compare: {terms.second if has_first else terms.first} has no users yet"


def round_count(count: float, digits: int = 2) -> int:
    """Return a count with so many digits that mean something."""
    if count < 1:
        return 0
    unit = 10 ** max(0, floor(log10(count)) - digits + 1)
    return int(round(count / unit) * unit)


def _join(low: str, high: str) -> str:
    return f"about {low}" if low == high else f"{low} to {high}"


def _percent(part: float) -> str:
    """Return a part of 1 in percent: whole numbers, but neither 0 nor 100, which would be all."""
    percent = max(100 * part, 0.1)
    if 99.5 <= percent < 100:
        return f"{min(floor(10 * percent) / 10, 99.9):.1f}"
    return f"{percent:.0f}" if percent >= 0.95 else f"{percent:.1f}"


def _times(low: float, high: float | None) -> str:
    if high is None or high > MOST_TIMES:
        return f"at least {_factor(min(low, MOST_TIMES))} times"
    return f"{_join(_factor(low), _factor(high))} times"


def _factor(ratio: float) -> str:
    """Return a ratio above 1, so that it does not look like 1."""
    if ratio < 1.1:
        return f"{ratio:.2f}" if ratio >= 1.005 else f"{max(ratio, 1.001):.3f}"
    return f"{ratio:.1f}" if ratio < 9.95 else f"{round_count(ratio):,}"


def _sentence(terms: Words, text: str) -> str:
    return text[0].upper() + text[1:] if terms.are_phrases else text
