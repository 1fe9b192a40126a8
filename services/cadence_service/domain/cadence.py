"""Frequency caps: how many notifications one user may get, on which layers, in how long."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


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


def find_overruns(
    rules: Iterable[CadenceRule], sends: Sequence[Send], own: Send
) -> list[CadenceRule]:
    """Return the rules that `own`, one of a user's `sends`, has broken; none if it is not there.

    A send breaks a rule if other sends use up the cap of a trailing window around it, no matter
    which of them came first.
    """
    others = list(sends)
    if own not in others:
        return []
    others.remove(own)
    checked = find_rules(rules, own.layer_id)
    return [rule for rule in checked if _find_full_window(rule, others, own.sent_at) is not None]


def find_next_eligible(
    rules: Sequence[CadenceRule], sends: Sequence[Send], at: datetime
) -> datetime:
    """Return the first instant from `at` on at which a send would break none of `rules`."""
    freed = [send.sent_at + rule.window for rule in rules for send in sends]
    candidates = [at, *sorted(instant for instant in freed if instant > at)]
    return next(t for t in candidates if find_breach(rules, sends, t) is None)


def _find_full_window(
    rule: CadenceRule, sends: Sequence[Send], at: datetime
) -> tuple[datetime, ...] | None:
    """Return the sends of a trailing window around `at` that has no room left, or None.

    A window that ends at a later send holds `at` too, so it must keep to the cap as well.
    """
    counted = sorted(
        send.sent_at
        for send in sends
        if send.layer_id in rule.counted_layers and abs(send.sent_at - at) < rule.window
    )
    ends = [at, *(instant for instant in counted if instant > at)]
    for end in ends:
        inside = tuple(t for t in counted if end - rule.window < t <= end)
        if len(inside) >= rule.max_count:
            return inside
    return None


@dataclass(frozen=True, slots=True)
class Stretch:
    """From `start` until the next stretch, the user is held back by `rule`, or by none."""

    start: datetime
    rule: str | None


def find_stretches(
    rules: Sequence[CadenceRule], sends: Sequence[Send], start: datetime, end: datetime
) -> list[Stretch]:
    """Return which rule holds a user back from `start` to `end`, if nothing more is sent.

    Shape: in order; neighbours differ. Later sends, such as reserved ones, hold a user back before
    their instant too, so a user who is eligible now may be held back later.
    """
    # A send counts for instants closer to it than the window, on both of its sides.
    instants = {
        send.sent_at + later
        for rule in rules
        for send in sends
        for later in (rule.window, timedelta(0), timedelta(microseconds=1) - rule.window)
    }
    stretches: list[Stretch] = []
    for edge in [start, *sorted(instant for instant in instants if start < instant < end)]:
        breach = find_breach(rules, sends, edge)
        name = breach.rule.name if breach else None
        if not stretches or stretches[-1].rule != name:
            stretches.append(Stretch(edge, name))
    return stretches


def replay(
    rules: Sequence[CadenceRule],
    exempt_layers: Collection[int],
    before: Sequence[Send],
    sends: Sequence[Send],
) -> list[str | None]:
    """Return, for each of one user's `sends` in order, the rule that holds it back, or None.

    Shape: `before` happened, whatever the rules say; a send that is held back uses up nothing.
    """
    kept = list(before)
    verdicts: list[str | None] = []
    for send in sends:
        checked = [] if send.layer_id in exempt_layers else find_rules(rules, send.layer_id)
        breach = find_breach(checked, kept, send.sent_at)
        verdicts.append(breach.rule.name if breach else None)
        if breach is None:
            kept.append(send)
    return verdicts
