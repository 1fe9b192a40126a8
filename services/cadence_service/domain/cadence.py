"""Frequency caps: how many notifications one user may get, on which layers, in how long."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any, Final

#: The smallest step between two instants.
_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Send:
    """A notification that a user got, or will get: its layer and its instant."""

    layer_id: int
    sent_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CadenceRule:
    """At most `max_count` sends on `counted_layers`, to one user, in any trailing `window`.

    The rule is checked when a push is on one of `applies_to_layers`. A cooldown is a rule whose
    `max_count` is 1.
    """

    name: str
    applies_to_layers: frozenset[int]
    counted_layers: frozenset[int]
    window: timedelta
    max_count: int
    is_active: bool = True
    description: str = ""

    def to_document(self) -> dict[str, object]:
        """Return the rule in values of JSON and of rows; `read_rule` reads them."""
        return {
            "name": self.name,
            "description": self.description,
            "applies_to_layers": sorted(self.applies_to_layers),
            "counted_layers": sorted(self.counted_layers),
            "window_hours": self.window / timedelta(hours=1),
            "max_count": self.max_count,
            "is_active": self.is_active,
        }


def read_rule(
    *,
    applies_to_layers: Iterable[int],
    counted_layers: Iterable[int],
    window_hours: float,
    **others: Any,
) -> CadenceRule:
    """Return the rule of the values that `to_document` gives."""
    return CadenceRule(
        applies_to_layers=frozenset(applies_to_layers),
        counted_layers=frozenset(counted_layers),
        window=timedelta(hours=window_hours),
        **others,
    )


@dataclass(frozen=True, slots=True)
class Breach:
    """The rule that one more send would break, and the sends that use up its cap."""

    rule: CadenceRule
    counted: tuple[datetime, ...]


def find_rules(rules: Iterable[CadenceRule], layer_id: int) -> list[CadenceRule]:
    """Return the active rules that a push on `layer_id` is checked against, in order."""
    return [rule for rule in rules if rule.is_active and layer_id in rule.applies_to_layers]


def find_breach(rules: Iterable[CadenceRule], sends: Sequence[Send], at: datetime) -> Breach | None:
    """Return the first of `rules` that a send at `at` would break, or None.

    Shape: `sends` is one user's history in any order, later sends than `at` among them.
    Units: a send exactly `window` old no longer counts.
    """
    for rule in rules:
        counted = _find_full_window(rule, sends, at)
        if counted is not None:
            return Breach(rule, counted)
    return None


def find_next_eligible(
    rules: Sequence[CadenceRule], sends: Sequence[Send], at: datetime
) -> datetime:
    """Return the first instant from `at` on at which a send would break none of `rules`."""
    spans = sorted(span for rule in rules for span in _find_full_spans(rule, sends))
    free_at = at
    for after, before in spans:
        if after >= free_at:
            break
        free_at = max(free_at, before)
    return free_at


def _find_full_window(
    rule: CadenceRule, sends: Sequence[Send], at: datetime
) -> tuple[datetime, ...] | None:
    """Return the sends of a trailing window around `at` that has no room left, or None.

    A window that ends at a later send contains `at` too, so the cap applies to it as well.
    """
    counted = sorted(
        send.sent_at
        for send in sends
        if send.layer_id in rule.counted_layers and abs(send.sent_at - at) < rule.window
    )
    for end in [at, *counted[bisect_right(counted, at) :]]:
        first, last = bisect_right(counted, end - rule.window), bisect_right(counted, end)
        if last - first >= rule.max_count:
            return tuple(counted[first:last])
    return None


def _find_full_spans(
    rule: CadenceRule, sends: Iterable[Send]
) -> Iterator[tuple[datetime, datetime]]:
    """Yield the spans of time, without their ends, in which one more send would break the rule.

    Shape: in order, and apart from one another. If as many sends as the cap allows lie within one
    window, there is no room for another send, from one window before the last of these sends to one
    window after the first.
    """
    times = _times(rule, sends)
    after, before = datetime.min.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)
    for first, last in zip(times, times[rule.max_count - 1 :], strict=False):
        if last - first >= rule.window:
            continue
        if last - rule.window >= before:
            if before > after:
                yield after, before
            after = last - rule.window
        before = first + rule.window
    if before > after:
        yield after, before


@dataclass(frozen=True, slots=True)
class Stretch:
    """From `start` until the next stretch, the user is capped by `rule`; None means not capped."""

    start: datetime
    rule: str | None


def find_stretches(
    rules: Sequence[CadenceRule], sends: Sequence[Send], start: datetime, end: datetime
) -> list[Stretch]:
    """Return which rule caps a user from `start` to `end`, if nothing more is sent.

    Shape: in order; neighbours differ. Later sends, such as reserved ones, cap a user before their
    instant too, so a user who is eligible now may be capped later.
    """
    full: set[int] = set()
    stretches: list[Stretch] = []
    for instant, group in groupby(sorted(_find_changes(rules, sends, start, end)), itemgetter(0)):
        for _, number, becomes_full in group:
            (full.add if becomes_full else full.discard)(number)
        stretches.append(Stretch(instant, rules[min(full)].name if full else None))
    return [next(alike) for _, alike in groupby(stretches, key=attrgetter("rule"))]


def _find_changes(
    rules: Sequence[CadenceRule], sends: Sequence[Send], start: datetime, end: datetime
) -> Iterator[tuple[datetime, int, bool]]:
    """Yield each instant at which a rule becomes full or free again; and `start` without a rule."""
    yield start, -1, False
    for number, rule in enumerate(rules):
        for after, before in _find_full_spans(rule, sends):
            if before > start and after + _TICK < end:
                yield max(after + _TICK, start), number, True
                if before < end:
                    yield before, number, False


def replay(
    rules: Sequence[CadenceRule],
    exempt_layers: Collection[int],
    before: Sequence[Send],
    sends: Sequence[Send],
) -> list[str | None]:
    """Return, for each of one user's `sends` in order, the rule that caps it, or None.

    Shape: `before` happened, whatever the rules say; a capped send uses up nothing.
    """
    kept = {rule.name: _times(rule, before) for rule in rules}
    verdicts: list[str | None] = []
    for send in sends:
        checked = [] if send.layer_id in exempt_layers else find_rules(rules, send.layer_id)
        full = (rule.name for rule in checked if _is_full(rule, kept[rule.name], send.sent_at))
        verdicts.append(next(full, None))
        if verdicts[-1] is None:
            for rule in rules:
                if send.layer_id in rule.counted_layers:
                    insort(kept[rule.name], send.sent_at)
    return verdicts


def _times(rule: CadenceRule, sends: Iterable[Send]) -> list[datetime]:
    return sorted(send.sent_at for send in sends if send.layer_id in rule.counted_layers)


def _is_full(rule: CadenceRule, times: Sequence[datetime], at: datetime) -> bool:
    """Return whether a trailing window around `at` has no room left, by the counted `times`."""
    near = times[bisect_right(times, at - rule.window) : bisect_left(times, at + rule.window)]
    pairs = zip(near, near[rule.max_count - 1 :], strict=False)
    return any(last - first < rule.window for first, last in pairs)
