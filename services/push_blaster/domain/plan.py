"""What an automation is about to send, and what somebody should know before it does."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from push_blaster.domain.automation import Automation
from push_blaster.domain.cadence import CadenceRule
from push_blaster.domain.schedule import Slot, slots_between
from push_blaster.domain.timeline import plan_pushes


class FindingKind(StrEnum):
    """What a finding is about."""

    NEVER_SENDS = "never_sends"
    LATE_BY_WINDOW = "late_by_window"
    CROWDED = "crowded"
    RULES_UNKNOWN = "rules_unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that stands out in a plan, told in a sentence."""

    kind: FindingKind
    message: str


@dataclass(frozen=True, slots=True)
class PlannedPush:
    """One push at its planned instant."""

    automation_id: str
    position: int
    layer_id: int
    at: datetime


def find_findings(automation: Automation, slots: Sequence[Slot]) -> list[Finding]:
    """Return what stands out about an automation by itself."""
    findings = []
    if not slots:
        findings.append(
            Finding(FindingKind.NEVER_SENDS, "No slot is left: its dates lie in the past.")
        )
    lead, window = automation.schedule.lead_time, automation.settings.cancellation_window
    if lead < window:
        findings.append(
            Finding(
                FindingKind.LATE_BY_WINDOW,
                f"It begins {_minutes(lead)} before its slot and leaves {_minutes(window)} to "
                f"cancel: every send comes at least {_minutes(window - lead)} late. Set "
                "leadTimeMinutes above cancellationWindowMinutes.",
            )
        )
    return findings


def find_crowding(
    automation: Automation,
    slots: Sequence[Slot],
    others: Iterable[Automation],
    rules: Sequence[CadenceRule],
) -> list[Finding]:
    """Return where pushes come so close that a rule holds back whoever is meant by both.

    Shape: a finding for each rule and each automation that uses up its cap, `automation` itself
    among them.
    """
    if not slots or not rules:
        return []
    own = _plan(automation, slots)
    longest = max(rule.window for rule in rules)
    start, end = slots[0].at - longest, own[-1].at
    pushes = list(own)
    for other in others:
        if other.id != automation.id and other.is_scheduled:
            pushes += _plan(other, slots_between(other.schedule, start, end))
    zone = ZoneInfo(automation.schedule.timezone)
    return [
        finding
        for rule in rules
        for finding in _find_crowding_by(rule, own, sorted(pushes, key=lambda p: p.at), zone)
    ]


def _plan(automation: Automation, slots: Iterable[Slot]) -> list[PlannedPush]:
    zone = automation.schedule.timezone
    return [
        PlannedPush(automation.id, position, push.layer_id, at)
        for slot in slots
        for position, (push, at) in enumerate(
            zip(automation.pushes, plan_pushes(automation.pushes, slot.at, zone), strict=True), 1
        )
    ]


def _find_crowding_by(
    rule: CadenceRule, own: Sequence[PlannedPush], pushes: Sequence[PlannedPush], zone: ZoneInfo
) -> list[Finding]:
    """Return a finding for each automation that fills the rule's windows before our pushes."""
    crowded: dict[str, list[tuple[PlannedPush, PlannedPush]]] = {}
    for push in own:
        if push.layer_id not in rule.applies_to_layers:
            continue
        before = _counted_before(rule, push, pushes)
        if len(before) < rule.max_count:
            continue
        for automation_id in {earlier.automation_id for earlier in before}:
            latest = [b for b in before if b.automation_id == automation_id][-1]
            crowded.setdefault(automation_id, []).append((push, latest))
    return [_tell(rule, pairs, zone) for _, pairs in sorted(crowded.items())]


def _counted_before(
    rule: CadenceRule, push: PlannedPush, pushes: Sequence[PlannedPush]
) -> list[PlannedPush]:
    return [
        other
        for other in pushes
        if other != push
        and other.layer_id in rule.counted_layers
        and push.at - rule.window < other.at <= push.at
    ]


def _tell(
    rule: CadenceRule, pairs: Sequence[tuple[PlannedPush, PlannedPush]], zone: ZoneInfo
) -> Finding:
    push, earlier = pairs[0]
    is_own = earlier.automation_id == push.automation_id
    whose = "its own" if is_own else f"{earlier.automation_id}'s"
    often = f" So do {len(pairs) - 1} more of the planned pushes." if len(pairs) > 1 else ""
    return Finding(
        FindingKind.CROWDED,
        f"Push {push.position} of {_local(push.at, zone)} (layer {push.layer_id}) comes "
        f"{_hours(push.at - earlier.at)} after {whose} push {earlier.position} of "
        f"{_local(earlier.at, zone)} (layer {earlier.layer_id}): {rule.name} lets a user have "
        f"{rule.max_count} in {_hours(rule.window)}, so whoever got that one may get no more."
        + often,
    )


def _local(instant: datetime, zone: ZoneInfo) -> str:
    return instant.astimezone(zone).isoformat(sep=" ", timespec="minutes")


def _minutes(duration: timedelta) -> str:
    return f"{duration / timedelta(minutes=1):g} min"


def _hours(duration: timedelta) -> str:
    return f"{round(duration / timedelta(hours=1), 2):g} h"
