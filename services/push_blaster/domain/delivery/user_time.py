"""The user's own time: quiet hours, and a push that comes at the same wall time everywhere.

Both are promises about wall clocks, placed in the user's zone as slots are. With quiet hours from
22:00 to 08:00, in a zone whose clocks go forward from 02:00 to 03:00 or back from 03:00 to 02:00:

| clock there                   | quiet hours      | what becomes of the message                  |
|-------------------------------|------------------|----------------------------------------------|
| 21:59, 08:00                  | 22:00 - 08:00    | sent                                         |
| 22:00, 03:00, 07:59           | 22:00 - 08:00    | deferred to 08:00, or dropped                |
| 01:30, the night of spring    | 01:00 - 02:30    | deferred to 03:00: there is no 02:30         |
| 02:15, the night of spring    |                  | there is no such time                        |
| 02:15, the first of autumn's  | 01:00 - 02:30    | deferred to the second 02:30: never shorter  |
| 02:45, between the two        | 01:00 - 02:30    | deferred to the second 02:30                 |
| 02:45, after the second       | 01:00 - 02:30    | sent                                         |
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from push_blaster.domain.automations.automation import AutomationSettings, QuietHours, WhenQuiet
from push_blaster.domain.delivery.ledger import LedgerState
from push_blaster.domain.zones import place_in_zone

_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
_NO_TIME: Final = timedelta(0)
#: The largest delay with which a push at the user's wall time may still be sent.
STILL_SENT: Final = timedelta(minutes=60)
#: The part of a push's time that is left for users whose window opens last.
LAST_CALL: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPreferences:
    """When a push may come to a user.

    Shape: the push comes at `wall_time` in each zone; None sends it at once. A window that opens
    after `closes_at` is too late. The push began at `begun_at`; a user who waits for the winner of
    an experiment gets nothing before `not_before`.
    """

    quiet_hours: QuietHours | None
    wall_time: datetime | None
    closes_at: datetime
    begun_at: datetime | None = None
    not_before: datetime | None = None


def find_send_window(
    wanted: DeliveryPreferences, zone: ZoneInfo, now: datetime
) -> datetime | LedgerState:
    """Return when the send window of a user in `zone` opens, `now` at the earliest; or why never.

    Shape: a state is the user's state in the ledger.
    """
    at = max(now, wanted.not_before or now)
    if wanted.wall_time:
        placed = place_in_zone(wanted.wall_time, zone).at
        due_at = max(placed, wanted.not_before or placed)
        if placed < (wanted.begun_at or now) - STILL_SENT or due_at < now - STILL_SENT:
            return LedgerState.LOCAL_TIME_PASSED
        at = max(at, placed)
    if wanted.quiet_hours:
        ends_at = find_end_of_quiet(wanted.quiet_hours, zone, at)
        if ends_at > at and wanted.quiet_hours.when_quiet is WhenQuiet.DROP:
            return LedgerState.QUIET_HOURS
        at = ends_at
    return at if at <= max(now, wanted.closes_at) else LedgerState.NOT_IN_TIME


def find_end_of_quiet(quiet: QuietHours, zone: ZoneInfo, at: datetime) -> datetime:
    """Return the end of the quiet hours around `at`; `at` itself outside of quiet hours."""
    ends_at = _end_of_night(quiet, zone, at)
    while ends_at:
        at, ends_at = ends_at, _end_of_night(quiet, zone, ends_at)
    return at


def find_awaited_time(settings: AutomationSettings, wall_time: time) -> time | None:
    """Return the time of day for which deferred users of a push wait, each in the user's zone.

    Shape: `wall_time` is that of the push; None if nobody waits.
    """
    quiet = settings.quiet_hours
    if settings.local_time and not (quiet and _is_quiet(quiet, wall_time)):
        return wall_time
    return quiet.end if quiet else None


def _is_quiet(quiet: QuietHours, at: time) -> bool:
    if quiet.start < quiet.end:
        return quiet.start <= at < quiet.end
    return at >= quiet.start or at < quiet.end


def window_limit(settings: AutomationSettings, push_time_limit: timedelta) -> timedelta:
    """Return how long after a push's start a send window may open."""
    return settings.deliver_within or max(timedelta(0), push_time_limit - LAST_CALL)


def stop_limit(
    settings: AutomationSettings, push_time_limit: timedelta, decide_after: timedelta = _NO_TIME
) -> timedelta:
    """Return how long a push may take before it is stopped; a wait for its winner comes on top."""
    if settings.deliver_within is None:
        return push_time_limit + decide_after
    return max(push_time_limit, settings.deliver_within + LAST_CALL) + decide_after


def _end_of_night(quiet: QuietHours, zone: ZoneInfo, at: datetime) -> datetime | None:
    """Return the end of the one stretch of quiet hours around `at`; None outside of quiet hours."""
    today = at.astimezone(zone).date()
    for day in (today - _DAY, today, today + _DAY):
        begins_at = place_in_zone(datetime.combine(day, quiet.start), zone).at
        last_day = day if quiet.start < quiet.end else day + _DAY
        ends_at = _place_last(datetime.combine(last_day, quiet.end), zone)
        if begins_at <= at < ends_at:
            return ends_at
    return None


def _place_last(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant of `local` in `zone`; the second one if there are two.

    If the clocks go back to `local` itself, no earlier time comes twice.
    """
    second = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    before = (second - _SECOND).astimezone(zone).replace(tzinfo=None)
    first = place_in_zone(local, zone).at
    return second if second > first and before + _SECOND == local else first
