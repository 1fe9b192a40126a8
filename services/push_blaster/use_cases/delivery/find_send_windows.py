"""Find when each user's send window opens by the user's own clock: now, later, or never."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    """Return the windows of `rows`; without quiet hours and local times all windows are open."""
    preferences = _find_preferences(context, execution, position)
    if preferences is None or not rows:
        return SendWindows(list(rows))
    now, windows = context.clock(), SendWindows()
    zones = _find_zones(context.database, execution, rows)
    by_zone = {zone: find_send_window(preferences, zone, now) for zone in set(zones.values())}
    for row in rows:
        zone = zones[row.user_id]
        opens_at = by_zone[zone]
        if isinstance(opens_at, LedgerState):
            reason = _WHY[opens_at].format(zone=zone.key)
            windows.never.append(Refusal(row.user_id, opens_at, reason))
        elif opens_at > now:
            windows.later[row.user_id] = opens_at
        else:
            windows.now.append(row)
    return windows


def has_send_windows(context: StepContext, execution: Execution, position: int) -> bool:
    """Return whether a push waits for times of its users' own."""
    return _find_preferences(context, execution, position) is not None


_WHY: Final[Mapping[LedgerState, str]] = {
    LedgerState.QUIET_HOURS: "quiet hours in {zone}",
    LedgerState.LOCAL_TIME_PASSED: "the push's time has passed in {zone}",
    LedgerState.NOT_IN_TIME: "the window of {zone} opens too late (settings.deliverWithinMinutes)",
}


def _find_preferences(
    context: StepContext, execution: Execution, position: int
) -> DeliveryPreferences | None:
    """Return the preferences of the automation; None without any, or if this is not a live send."""
    settings = execution.automation.settings
    started_at = execution.pushes[position - 1].started_at
    is_asked_for = settings.quiet_hours or settings.local_time
    if execution.mode is not Mode.LIVE or started_at is None or not is_asked_for:
        return None
    return DeliveryPreferences(
        quiet_hours=settings.quiet_hours,
        wall_time=find_wall_time(execution, position) if settings.local_time else None,
        closes_at=context.shift(started_at)
        + window_limit(settings, context.limits.push_time_limit),
    )


def _find_zones(
    database: Database, execution: Execution, rows: Sequence[AudienceRow]
) -> dict[UUID, ZoneInfo]:
    """Return each user's zone: the row's, else the device's, else the automation's."""
    automation = execution.automation
    quiet = automation.settings.quiet_hours
    otherwise = ZoneInfo((quiet and quiet.timezone) or automation.schedule.timezone)
    named = {row.user_id: find_zone(row.variables.get(ZONE_COLUMN, "").strip()) for row in rows}
    nameless = [user_id for user_id, zone in named.items() if zone is None]
    with database.transaction() as connection:
        of_devices = select_timezones(connection, nameless) if nameless else {}
    return {
        user_id: zone or find_zone(of_devices.get(user_id, "")) or otherwise
        for user_id, zone in named.items()
    }
