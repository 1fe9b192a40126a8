"""Cap conflicts: planned pushes so close together that a rule caps the users of both."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Final

from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.cadence.cadence import CadenceRule
from push_blaster.domain.executions.timeline import plan_pushes
from push_blaster.domain.number_words import list_words
from push_blaster.domain.schedule.calendar import longest_sequence
from push_blaster.domain.schedule.finding import (
    Finding,
    FindingKind,
    spell_duration,
    spell_instant,
    spell_number,
)
from push_blaster.domain.schedule.schedule import slots_between
from push_blaster.domain.zones import Slot

#: How many neighbours a plan names for each rule; it only counts the others.
MAX_NAMED: Final = 20

_at = attrgetter("at")


@dataclass(frozen=True, slots=True)
class PlannedPush:
    """One push at its planned instant; `name` is what its people call it, such as `“Sale”`."""

    automation_id: str
    name: str
    layer_id: int
    slot: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class _Pair:
    push: PlannedPush
    earlier: PlannedPush

    @property
    def is_sequence(self) -> bool:
        """Whether both are pushes of one execution."""
        one, other = self.push, self.earlier
        return (one.automation_id, one.slot) == (other.automation_id, other.slot)


def find_cap_conflicts(
    automation: Automation,
    slots: Sequence[Slot],
    others: Iterable[Automation],
    rules: Sequence[CadenceRule],
) -> list[Finding]:
    """Return the automations whose pushes and this automation's pushes share a cap.

    Shape: one finding about the pushes of one execution, and then one for each rule and each
    neighbour; `automation` can be its own neighbour.
    """
    if not slots or not rules:
        return []
    own = _plan(automation, slots, is_own=True)
    longest = max(rule.window for rule in rules)
    start, end = slots[0].at - longest, own[-1].at + longest
    pushes = list(own)
    for other in others:
        if other.id != automation.id and other.is_scheduled and _matters(other, rules):
            before = start - longest_sequence(other)
            pushes += _plan(other, slots_between(other.schedule, before, end))
    pushes.sort(key=_at)
    in_sequence = _find_in_sequence(automation, own, rules)
    return [*in_sequence, *(f for r in rules for f in _find_by_rule(r, automation, pushes))]


def _matters(automation: Automation, rules: Iterable[CadenceRule]) -> bool:
    layers = {push.layer_id for push in automation.pushes}
    return any(_concerns(rule, layer) for rule in rules for layer in layers)


def _plan(
    automation: Automation, slots: Iterable[Slot], *, is_own: bool = False
) -> list[PlannedPush]:
    zone = automation.schedule.timezone
    return [
        PlannedPush(automation.id, name, push.layer_id, slot.at, at)
        for slot in slots
        for name, push, at in zip(
            _name_pushes(automation, is_own=is_own),
            automation.pushes,
            plan_pushes(automation.pushes, slot.at, zone),
            strict=True,
        )
    ]


def _name_pushes(automation: Automation, *, is_own: bool) -> list[str]:
    many = len(automation.pushes) > 1
    numbers = range(1, len(automation.pushes) + 1)
    if is_own:
        return [f"your push {n}" if many else "your push" for n in numbers]
    return [f"push {n} of “{automation.name}”" if many else f"“{automation.name}”" for n in numbers]


def _find_in_sequence(
    automation: Automation, own: Sequence[PlannedPush], rules: Iterable[CadenceRule]
) -> Iterator[Finding]:
    """Yield the rule by which a user loses the most pushes of one execution."""
    runs = [list(run) for _, run in groupby(own, key=attrgetter("slot"))]
    found = [(_count_lost(rule, run), rule) for rule in rules for run in runs]
    lost, rule = max(found, key=lambda one: one[0])
    if not lost:
        return
    involved = [push for push in automation.pushes if _concerns(rule, push.layer_id)]
    allowed = spell_number(len(involved) - lost)
    all_pushes = f"your {spell_number(len(involved))} pushes" if len(involved) > 1 else "your push"
    if len(involved) < len(automation.pushes):
        all_pushes += f" on {_list_layers({push.layer_id for push in involved})}"
    is_one_audience = len({push.audience_name for push in involved}) == 1
    who = "Most people" if is_one_audience else "People who are in all of its audiences"
    yield Finding(
        FindingKind.IS_CAPPED,
        f"{who} will get only {allowed} of {all_pushes}: {_describe_rule(rule)}. Leave "
        f"{spell_duration(rule.window)} between them, or send fewer.",
        "pushSequence[1].timing.delayAfterPrevious" if len(automation.pushes) > 1 else "",
        rule.name,
    )


def _count_lost(rule: CadenceRule, run: Iterable[PlannedPush]) -> int:
    """Return how many pushes of one execution a user loses who got nothing before."""
    lost, counted = 0, list[datetime]()
    for push in run:
        near = sum(push.at - at < rule.window for at in counted)
        if push.layer_id in rule.applies_to_layers and near >= rule.max_count:
            lost += 1
        elif push.layer_id in rule.counted_layers:
            counted.append(push.at)
    return lost


def _concerns(rule: CadenceRule, layer_id: int) -> bool:
    return layer_id in rule.counted_layers | rule.applies_to_layers


def _list_layers(layers: Iterable[int]) -> str:
    listed = [str(layer) for layer in sorted(layers)]
    return f"{'layers' if len(listed) > 1 else 'layer'} {list_words(listed)}"


def _find_by_rule(
    rule: CadenceRule, automation: Automation, pushes: Sequence[PlannedPush]
) -> list[Finding]:
    """Return one finding for each automation that conflicts with this one under the rule."""
    counted = [push for push in pushes if push.layer_id in rule.counted_layers]
    pairs: dict[tuple[bool, str], list[_Pair]] = {}
    for pair in _pair_up(rule, automation.id, pushes, counted):
        is_own = pair.push.automation_id == automation.id
        neighbour = pair.earlier.automation_id if is_own else pair.push.automation_id
        pairs.setdefault((not is_own, neighbour), []).append(pair)
    findings = [_describe(rule, automation, pairs[key], key[1]) for key in sorted(pairs)]
    if len(findings) <= MAX_NAMED:
        return findings
    rest = (
        f"{len(findings) - MAX_NAMED} more automations are as close to yours: "
        f"{_describe_rule(rule)}."
    )
    return [*findings[:MAX_NAMED], Finding(FindingKind.IS_CAPPED, rest, rule=rule.name)]


def _pair_up(
    rule: CadenceRule, own_id: str, pushes: Sequence[PlannedPush], counted: Sequence[PlannedPush]
) -> Iterator[_Pair]:
    """Yield each push under the rule with those before it, if one of both is this automation's."""
    for push in _affected(rule, own_id, pushes):
        for earlier in _latest_before(rule, push, counted):
            pair = _Pair(push, earlier)
            if own_id in {push.automation_id, earlier.automation_id} and not pair.is_sequence:
                yield pair


def _affected(
    rule: CadenceRule, own_id: str, pushes: Sequence[PlannedPush]
) -> Iterator[PlannedPush]:
    """Yield this automation's pushes under the rule, and others' pushes within its window."""
    latest_own: datetime | None = None
    for push in pushes:
        is_own = push.automation_id == own_id
        is_near = latest_own is not None and push.at - latest_own < rule.window
        if push.layer_id in rule.applies_to_layers and (is_own or is_near):
            yield push
        if is_own and push.layer_id in rule.counted_layers:
            latest_own = push.at


def _latest_before(
    rule: CadenceRule, push: PlannedPush, counted: Sequence[PlannedPush]
) -> list[PlannedPush]:
    """Return each automation's last push in the window before `push`, if these fill the cap."""
    first = bisect_right(counted, push.at - rule.window, key=_at)
    last = bisect_right(counted, push.at, key=_at)
    before = [other for other in counted[first:last] if other != push]
    if len(before) < rule.max_count:
        return []
    return list({other.automation_id: other for other in before}.values())


def _describe(
    rule: CadenceRule, automation: Automation, pairs: Sequence[_Pair], neighbour_id: str
) -> Finding:
    push, earlier = pairs[0].push, pairs[0].earlier
    zone = automation.schedule.timezone
    is_ours, is_own = push.automation_id == automation.id, neighbour_id == automation.id
    before = f"{earlier.name} of {spell_instant(earlier.at, zone)}"
    get = f"get {before}"
    if rule.max_count > 1:
        get = f"got {spell_number(rule.max_count)} pushes by then, one of them {before},"
    apart = push.at - earlier.at
    gap = f"{spell_duration(apart)} later" if apart else "at the same time"
    advice = "Send less often." if is_own else "Move one of the two."
    more = f" The same happens {len(pairs)} times in this plan." if len(pairs) > 1 else ""
    return Finding(
        FindingKind.IS_CAPPED if is_ours else FindingKind.CAPS_OTHERS,
        f"People who {get} will not get {push.name} of {spell_instant(push.at, zone)}, "
        f"{gap}: {_describe_rule(rule)}.{more} {advice}",
        "schedule.frequency" if is_own else "schedule.executionTime",
        rule.name,
        "" if is_own else neighbour_id,
    )


def _describe_rule(rule: CadenceRule) -> str:
    """Return what a rule allows, as `the 72-hour rule allows one`."""
    hours = rule.window / timedelta(hours=1)
    is_days = hours > 72 and hours % 24 == 0
    window = f"{hours / 24:g}-day" if is_days else f"{hours:.3g}-hour"
    return f"the {window} rule allows {spell_number(rule.max_count)}"
