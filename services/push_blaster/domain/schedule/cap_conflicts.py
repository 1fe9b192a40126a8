"""Cap conflicts: planned pushes so close together that a rule caps the users of both."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Final
from zoneinfo import ZoneInfo

from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.cadence.cadence import CadenceRule
from push_blaster.domain.executions.timeline import plan_pushes
from push_blaster.domain.schedule.calendar import longest_sequence
from push_blaster.domain.schedule.plan import Finding, FindingKind
from push_blaster.domain.schedule.schedule import slots_between
from push_blaster.domain.zones import Slot

#: How many neighbours a plan names for each rule; it only counts the others.
MAX_NAMED: Final = 20

_at = attrgetter("at")


@dataclass(frozen=True, slots=True)
class PlannedPush:
    """One push at its planned instant."""

    automation_id: str
    position: int
    layer_id: int
    at: datetime


@dataclass(frozen=True, slots=True)
class _Pair:
    push: PlannedPush
    earlier: PlannedPush


def find_cap_conflicts(
    automation: Automation,
    slots: Sequence[Slot],
    others: Iterable[Automation],
    rules: Sequence[CadenceRule],
) -> list[Finding]:
    """Return the automations whose pushes and this automation's pushes share a cap.

    Shape: one finding for each rule and each neighbour; `automation` can be its own neighbour.
    """
    if not slots or not rules:
        return []
    own = _plan(automation, slots)
    longest = max(rule.window for rule in rules)
    start, end = slots[0].at - longest, own[-1].at + longest
    pushes = list(own)
    for other in others:
        if other.id != automation.id and other.is_scheduled and _matters(other, rules):
            before = start - longest_sequence(other)
            pushes += _plan(other, slots_between(other.schedule, before, end))
    zone = ZoneInfo(automation.schedule.timezone)
    pushes.sort(key=_at)
    return [f for rule in rules for f in _find_by_rule(rule, automation.id, pushes, zone)]


def _matters(automation: Automation, rules: Iterable[CadenceRule]) -> bool:
    layers = {push.layer_id for push in automation.pushes}
    return any(layers & (rule.counted_layers | rule.applies_to_layers) for rule in rules)


def _plan(automation: Automation, slots: Iterable[Slot]) -> list[PlannedPush]:
    zone = automation.schedule.timezone
    return [
        PlannedPush(automation.id, position, push.layer_id, at)
        for slot in slots
        for position, (push, at) in enumerate(
            zip(automation.pushes, plan_pushes(automation.pushes, slot.at, zone), strict=True), 1
        )
    ]


def _find_by_rule(
    rule: CadenceRule, own_id: str, pushes: Sequence[PlannedPush], zone: ZoneInfo
) -> list[Finding]:
    """Return one finding for each automation that conflicts with this one under the rule."""
    counted = [push for push in pushes if push.layer_id in rule.counted_layers]
    pairs: dict[tuple[bool, str], list[_Pair]] = {}
    for push in _affected(rule, own_id, pushes):
        for earlier in _latest_before(rule, push, counted):
            if own_id in {push.automation_id, earlier.automation_id}:
                is_own = push.automation_id == own_id
                neighbour = earlier.automation_id if is_own else push.automation_id
                pairs.setdefault((not is_own, neighbour), []).append(_Pair(push, earlier))
    findings = [_describe(rule, own_id, pairs[key], zone) for key in sorted(pairs)]
    if len(findings) <= MAX_NAMED:
        return findings
    rest = f"{rule.name}: {len(findings) - MAX_NAMED} more automations have the same conflict."
    return [*findings[:MAX_NAMED], Finding(FindingKind.IS_CAPPED, rest)]


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


def _describe(rule: CadenceRule, own_id: str, pairs: Sequence[_Pair], zone: ZoneInfo) -> Finding:
    push, earlier = pairs[0].push, pairs[0].earlier
    is_ours = push.automation_id == own_id
    name = "Push" if is_ours else f"{push.automation_id}'s push"
    if earlier.automation_id != own_id:
        whose = f"{earlier.automation_id}'s"
    else:
        whose = "its own" if is_ours else f"{own_id}'s"
    more = f" Planned pushes with this conflict: {len(pairs)}." if len(pairs) > 1 else ""
    return Finding(
        FindingKind.IS_CAPPED if is_ours else FindingKind.CAPS_OTHERS,
        f"{name} {push.position} of {_local(push.at, zone)} (layer {push.layer_id}) comes "
        f"{_hours(push.at - earlier.at)} after {whose} push {earlier.position} of "
        f"{_local(earlier.at, zone)} (layer {earlier.layer_id}). The cadence rule {rule.name} "
        f"allows at most {rule.max_count} per user in {_hours(rule.window)}, so users of the "
        "earlier push may be capped. Move one of the pushes." + more,
    )


def _local(instant: datetime, zone: ZoneInfo) -> str:
    return instant.astimezone(zone).isoformat(sep=" ", timespec="minutes")


def _hours(duration: timedelta) -> str:
    return f"{round(duration / timedelta(hours=1), 2):g} h"
