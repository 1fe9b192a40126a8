"""The calendar: planned pushes by day, and the collisions of those that compete for people."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from operator import attrgetter
from typing import Final
from zoneinfo import ZoneInfo

from push_blaster.domain.automations.automation import Automation, Push, Schedule
from push_blaster.domain.cadence.cadence import CadenceRule
from push_blaster.domain.cadence.names import name_rule
from push_blaster.domain.executions.timeline import plan_pushes
from push_blaster.domain.schedule.schedule import first_slots
from push_blaster.domain.zones import Slot

#: How many slots of one automation are planned in one go; if it has more, day by day.
MAX_SLOTS: Final = 1_000
#: How many slots of one automation are planned for one day.
MAX_A_DAY: Final = 24 * 60
_SOME_SLOT: Final = datetime(2026, 1, 1, tzinfo=UTC)
_AT: Final = attrgetter("at")
_POSITION: Final = attrgetter("position")
_AUTOMATION: Final = attrgetter("automation_id")
#: How many pushes a sentence about a collision names.
MAX_NAMED: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarPush:
    """One push of an automation at its planned instant; a paused one is not sent."""

    automation_id: str
    automation_name: str
    position: int
    layer_id: int
    at: datetime
    slot: datetime
    is_paused: bool
    remark: str | None

    @property
    def place(self) -> tuple[datetime, str]:
        """The place of the push in the calendar: its instant, and its name at this instant."""
        return self.at, f"{self.automation_id}/{self.position:03}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collision:
    """Automations that compete for the same people on one day, and what the rules will do.

    Shape: `automation_ids` are the first ones, `automations` counts all of them; each of the
    `messages` is about pushes of this day, or about one rule and the days before.
    """

    day: date
    layer_ids: tuple[int, ...]
    automation_ids: tuple[str, ...]
    automations: int
    messages: tuple[str, ...]


def longest_sequence(automation: Automation) -> timedelta:
    """Return how long after its slot the last push may go out; a wall time is within a day."""
    return sum((push.delay + push.decide_after for push in automation.pushes), timedelta(days=1))


def in_order(found: Mapping[str, Sequence[CalendarPush]]) -> list[CalendarPush]:
    """Return the pushes of all automations, by their ids, in the order of their places."""
    by_name = sorted(found, key=lambda id_: f"{id_}/")
    each = (push for id_ in by_name for push in sorted(found[id_], key=_POSITION))
    return sorted(each, key=_AT)


def plan_calendar(automation: Automation, since: datetime, until: datetime) -> list[CalendarPush]:
    """Return the pushes of an automation from `since` on and before `until`, by slot."""
    zone, is_paused = automation.schedule.timezone, not automation.is_scheduled
    found: list[CalendarPush] = []
    plan = _plan_with(automation.pushes, zone)
    for slot in _find_slots(automation.schedule, since - longest_sequence(automation), until):
        if automation.activated_at and slot.at < automation.activated_at:
            continue  # the clock had not opened it yet
        planned = plan(slot.at)
        found += [
            CalendarPush(
                automation_id=automation.id,
                automation_name=automation.name,
                position=position,
                layer_id=push.layer_id,
                at=at,
                slot=slot.at,
                is_paused=is_paused,
                remark=slot.remark,
            )
            for position, (push, at) in enumerate(zip(automation.pushes, planned, strict=True), 1)
            if since <= at < until
        ]
    return found


def _plan_with(pushes: Sequence[Push], zone: str) -> Callable[[datetime], list[datetime]]:
    """Return what plans the pushes after a slot; without wall times the delays are always equal."""
    if any(push.absolute_time for push in pushes):
        return lambda slot: plan_pushes(pushes, slot, zone)
    delays = [at - _SOME_SLOT for at in plan_pushes(pushes, _SOME_SLOT, zone)]
    return lambda slot: [slot + delay for delay in delays]


def _find_slots(schedule: Schedule, since: datetime, until: datetime) -> list[Slot]:
    """Return the slots of the schedule; of each day the first ones, if there are very many."""
    # A slot at `since` belongs to the day that ends there, as slots are strictly after it.
    found = first_slots(schedule, since, until, MAX_SLOTS + 1)
    if len(found) <= MAX_SLOTS:
        return found
    starts = (since + timedelta(days=number) for number in range((until - since).days + 1))
    days = (
        first_slots(schedule, start, min(start + timedelta(days=1), until), MAX_A_DAY)
        for start in starts
    )
    return [slot for day in days for slot in day]


def find_collisions(
    day: date,
    pushes: Sequence[CalendarPush],
    earlier: Sequence[CalendarPush],
    rules: Sequence[CadenceRule],
    zone: ZoneInfo,
) -> list[Collision]:
    """Return the collisions of one day.

    Shape: `pushes` of the day and `earlier` ones, both in the order of time. Pushes collide if they
    are of one layer, or if a rule for one of them counts the other within its window.
    """
    collisions = []
    for layers in _link_layers(pushes, rules):
        own = [push for push in pushes if push.layer_id in layers]
        before = _find_earlier(own, earlier, rules)
        names = dict.fromkeys(push.automation_id for push in own)
        if len(names) > 1 or before:
            sentences = [_describe_outcome(own, rules, zone)] if len(names) > 1 else []
            sentences += [_describe_earlier(rule, found, zone) for rule, found in before]
            collisions.append(
                Collision(
                    day=day,
                    layer_ids=tuple(sorted(layers)),
                    automation_ids=tuple(islice(names, MAX_NAMED)),
                    automations=len(names),
                    messages=tuple(sentences),
                )
            )
    return collisions


def _link_layers(
    pushes: Sequence[CalendarPush], rules: Sequence[CadenceRule]
) -> list[frozenset[int]]:
    """Return the groups of layers whose pushes a rule counts against each other on this day."""
    layers = {push.layer_id for push in pushes}
    groups = {layer: frozenset({layer}) for layer in layers}
    for layer in layers:
        for counted in layers - {layer}:
            if _is_counted_with(layer, counted, pushes, rules):
                joined = groups[layer] | groups[counted]
                groups.update(dict.fromkeys(joined, joined))
    return sorted(set(groups.values()), key=min)


def _is_counted_with(
    layer: int, counted: int, pushes: Sequence[CalendarPush], rules: Sequence[CadenceRule]
) -> bool:
    """Return whether a rule for a push of `layer` counts an earlier one of `counted`."""
    windows = [
        rule.window
        for rule in rules
        if layer in rule.applies_to_layers and counted in rule.counted_layers
    ]
    latest: datetime | None = None
    for push in pushes if windows else ():
        if push.layer_id == counted:
            latest = push.at
        elif latest and push.layer_id == layer and push.at - latest < max(windows):
            return True
    return False


def _find_earlier(
    own: Sequence[CalendarPush], earlier: Sequence[CalendarPush], rules: Sequence[CadenceRule]
) -> list[tuple[CadenceRule, list[CalendarPush]]]:
    """Return, for each rule, other automations' latest pushes of the days before that it counts."""
    ids = {push.automation_id for push in own}
    others = earlier if len(ids) > 1 else [p for p in earlier if p.automation_id not in ids]
    by_layer: defaultdict[int, list[CalendarPush]] = defaultdict(list)
    for push in others:
        by_layer[push.layer_id].append(push)
    found = []
    for rule in rules:
        first = next((push for push in own if push.layer_id in rule.applies_to_layers), None)
        counted = _find_counted(rule, first.at, by_layer) if first else []
        if len(counted) >= rule.max_count and counted:
            latest = dict(zip(map(_AUTOMATION, counted), counted, strict=True))
            found.append((rule, list(latest.values())))
    return found


def _find_counted(
    rule: CadenceRule, at: datetime, by_layer: Mapping[int, Sequence[CalendarPush]]
) -> list[CalendarPush]:
    """Return the pushes within the window of the rule that ends at an instant, in their order."""
    counted = [
        push
        for layer in sorted(rule.counted_layers & by_layer.keys())
        for push in by_layer[layer][bisect_right(by_layer[layer], at - rule.window, key=_AT) :]
    ]
    return sorted(counted, key=_AT)


def _describe_outcome(
    pushes: Sequence[CalendarPush], rules: Sequence[CadenceRule], zone: ZoneInfo
) -> str:
    """Say what a person gets who is in all of these audiences, and was sent nothing before."""
    got, capped = _follow_person(pushes, rules)
    if not capped:
        return (
            f"No cadence rule stands between these {len(pushes)} pushes: a person who is in "
            f"all of their audiences gets each of them: {_name(got, zone)}."
        )
    reasons = [f"{_name(lost, zone)}: capped by {_rule_words(rule)}" for rule, lost in capped]
    return (
        f"A person who is in all of these audiences gets {_name(got, zone)}. "
        f"The person does not get {'; '.join(reasons)}."
    )


def _follow_person(
    pushes: Sequence[CalendarPush], rules: Sequence[CadenceRule]
) -> tuple[list[CalendarPush], list[tuple[CadenceRule, list[CalendarPush]]]]:
    """Return the pushes that one person gets, and those that each rule caps."""
    got: list[CalendarPush] = []
    counted: dict[str, list[datetime]] = defaultdict(list)
    capped: dict[str, list[CalendarPush]] = defaultdict(list)
    for push in pushes:
        against = next((rule for rule in rules if _is_capped(rule, push, counted[rule.name])), None)
        if against:
            capped[against.name].append(push)
            continue
        got.append(push)
        for rule in rules:
            if push.layer_id in rule.counted_layers:
                counted[rule.name].append(push.at)
    return got, [(rule, capped[rule.name]) for rule in rules if capped[rule.name]]


def _is_capped(rule: CadenceRule, push: CalendarPush, counted: Sequence[datetime]) -> bool:
    """Return whether the last sends that the rule counts leave no room for the push."""
    if push.layer_id not in rule.applies_to_layers or len(counted) < rule.max_count:
        return False
    return rule.max_count == 0 or push.at - counted[-rule.max_count] < rule.window


def _describe_earlier(rule: CadenceRule, earlier: Sequence[CalendarPush], zone: ZoneInfo) -> str:
    pushes = sorted(earlier, key=lambda push: push.at)
    named = _name(pushes, zone, with_day=True)
    enough = f"{rule.max_count} of them" if rule.max_count > 1 else "one of them"
    return (
        f"Pushes of the days before count, too: {named}. A person who got {enough} is capped by "
        f"{_rule_words(rule)}."
    )


def _rule_words(rule: CadenceRule) -> str:
    hours = f"{round(rule.window / timedelta(hours=1), 2):g}"
    return f"the rule “{name_rule(rule.name)}” (at most {rule.max_count} in {hours} h)"


def _name(pushes: Sequence[CalendarPush], zone: ZoneInfo, *, with_day: bool = False) -> str:
    if not pushes:
        return "none of them"
    form = "%a %d %b, %H:%M" if with_day else "%H:%M"
    named = [
        f"{push.automation_name}{f', push {push.position}' if push.position > 1 else ''} "
        f"({push.at.astimezone(zone):{form}})"
        for push in pushes[:MAX_NAMED]
    ]
    more = len(pushes) - MAX_NAMED
    return ", ".join([*named, *([f"and {more} more"] if more > 0 else [])])
