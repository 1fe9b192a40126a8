"""Find when each user's send window opens by the user's own clock: now, later, or never."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.postgres import Database
from push_blaster.adapters.devices.device_table import select_timezones
from push_blaster.domain.audiences.audience import ZONE_COLUMN, AudienceRow
from push_blaster.domain.delivery.ledger import LedgerState, Refusal
from push_blaster.domain.delivery.user_time import (
    DeliveryPreferences,
    find_send_window,
    window_limit,
)
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.timeline import find_wall_time
from push_blaster.domain.zones import find_zone
from push_blaster.use_cases.context import StepContext


@dataclass(frozen=True, slots=True)
class SendWindows:
    """Users with an open window, users whose window opens later, and users without one, and why."""

    now: list[AudienceRow] = field(default_factory=list)
    later: dict[UUID, datetime] = field(default_factory=dict)
    never: list[Refusal] = field(default_factory=list)


def find_send_windows(
    context: StepContext, execution: Execution, position: int, rows: Sequence[AudienceRow]
) -> SendWindows:
    """Return the windows of `rows`; without quiet hours and local times all windows are open.

    Users who do not test an experiment wait for its winner first.
    """
    wanted = _find_preferences(context, execution, position)
    if not wanted or not rows:
        return SendWindows(list(rows))
    now, windows = context.clock(), SendWindows()
    zones = _find_zones(context.database, execution, rows)
    found: dict[tuple[ZoneInfo, bool], datetime | LedgerState] = {}
    for row in rows:
        zone, waits = key = zones[row.user_id], execution.gets_winner(position, row.user_id)
        if key not in found:
            found[key] = find_send_window(wanted[waits], zone, now)
        opens_at = found[key]
        if isinstance(opens_at, LedgerState):
            reason = _WHY[opens_at].format(zone=zone.key)
            windows.never.append(Refusal(row.user_id, opens_at, reason))
        elif opens_at > now:
            windows.later[row.user_id] = opens_at
        else:
            windows.now.append(row)
    return windows


def has_send_windows(execution: Execution) -> bool:
    """Return whether the pushes of an execution wait for times of their users' own."""
    settings = execution.automation.settings
    is_asked_for = settings.quiet_hours is not None or settings.local_time
    return execution.mode is Mode.LIVE and is_asked_for


_WHY: Final[Mapping[LedgerState, str]] = {
    LedgerState.QUIET_HOURS: "quiet hours in {zone}",
    LedgerState.LOCAL_TIME_PASSED: "the push's time has passed in {zone}",
    LedgerState.NOT_IN_TIME: "the window of {zone} opens too late (settings.deliverWithinMinutes)",
}


def _find_preferences(
    context: StepContext, execution: Execution, position: int
) -> Mapping[bool, DeliveryPreferences]:
    """Return the preferences for users who wait for no winner, and for users who do (True).

    Shape: empty if every user gets the push at once.
    """
    settings, push = execution.automation.settings, execution.pushes[position - 1]
    if push.started_at is None or not (has_send_windows(execution) or push.decision):
        return {}
    begun_at = context.shift(push.started_at)
    usual = DeliveryPreferences(
        quiet_hours=settings.quiet_hours,
        wall_time=find_wall_time(execution, position) if settings.local_time else None,
        closes_at=begun_at + window_limit(settings, context.limits.push_time_limit),
        begun_at=begun_at,
    )
    if push.decision is None:
        return {False: usual}
    not_before = max(begun_at, context.shift(push.decision.decides_at))
    closes_at = usual.closes_at + (not_before - begun_at)
    return {False: usual, True: replace(usual, not_before=not_before, closes_at=closes_at)}


def _find_zones(
    database: Database, execution: Execution, rows: Sequence[AudienceRow]
) -> dict[UUID, ZoneInfo]:
    """Return each user's zone: the row's, else the device's, else the automation's."""
    automation = execution.automation
    quiet = automation.settings.quiet_hours
    otherwise = ZoneInfo((quiet and quiet.timezone) or automation.schedule.timezone)
    if not has_send_windows(execution):
        return {row.user_id: otherwise for row in rows}
    named = {row.user_id: find_zone(row.variables.get(ZONE_COLUMN, "").strip()) for row in rows}
    nameless = [user_id for user_id, zone in named.items() if zone is None]
    with database.transaction() as connection:
        of_devices = select_timezones(connection, nameless) if nameless else {}
    return {
        user_id: zone or find_zone(of_devices.get(user_id, "")) or otherwise
        for user_id, zone in named.items()
    }
