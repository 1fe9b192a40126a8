"""The reach of an automation's pushes over the next week, as a picture."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.clock import utc_now
from push_blaster.adapters.audiences.frozen_audiences import read_users
from push_blaster.adapters.automations.automation_document import read_automation
from push_blaster.adapters.cadence.cadence_records import CadenceRecords, Reach, ReachPoint
from push_blaster.adapters.devices.opt_out_table import select_opt_outs_of
from push_blaster.adapters.executions.execution_view import select_last_audience
from push_blaster.domain.automations.automation import Automation, Push
from push_blaster.domain.number_words import list_words
from push_blaster.use_cases.context import WebContext
from push_blaster.use_cases.delivery.find_opted_out import refuse_opted_out

WEEK_HOURS: Final = 168
#: How many users of an audience are asked about; more would not change the curve.
SAMPLE: Final = 200_000


@dataclass(frozen=True, slots=True)
class ReachCurve:
    """The reach of pushes that have the same layer and the same last audience.

    Shape: `pushes` are the pushes with their places in the sequence, from 1 on. `opted_out` users
    do not want them, and are not in the reach.
    """

    pushes: Sequence[tuple[int, Push]]
    reach: Reach
    opted_out: int = 0

    @property
    def name(self) -> str:
        """The places of the pushes, in words."""
        places = [str(place) for place, _ in self.pushes]
        return f"{'Pushes' if len(places) > 1 else 'Push'} {list_words(places)}"

    @property
    def now(self) -> ReachPoint:
        """The reach now."""
        return self.reach.points[0]

    @property
    def best(self) -> ReachPoint:
        """The largest reach."""
        return max(self.reach.points, key=lambda point: point.eligible)

    @property
    def line(self) -> str:
        """The points of the curve in a picture of 1000 by 100."""
        points, users = self.reach.points, max(1, self.reach.users)
        step = 1000 / max(1, len(points) - 1)
        return " ".join(
            f"{round(n * step, 1)},{round(100 - point.eligible * 100 / users, 2)}"
            for n, point in enumerate(points)
        )


@dataclass(frozen=True, slots=True)
class ReachPicture:
    """The curves of an automation; `missing` are the places of pushes without an audience yet."""

    automation: Automation
    curves: Sequence[ReachCurve]
    missing: Sequence[int]

    @property
    def days(self) -> list[datetime]:
        """The instants that the picture names: now, and then every 24 hours."""
        now = self.curves[0].now.at.astimezone(ZoneInfo(self.automation.schedule.timezone))
        return [now + timedelta(days=day) for day in range(WEEK_HOURS // 24 + 1)]


def find_reach(
    context: WebContext, records: CadenceRecords, document: Mapping[str, Any]
) -> ReachPicture:
    """Return the reach of every push to the last audience that was frozen for it."""
    automation = read_automation(document)
    groups = defaultdict(list)
    missing = []
    for place, (push, file) in enumerate(_find_files(context, automation), start=1):
        if file and (context.data_folder / file).exists():
            groups[file, push.layer_id].append((place, push))
        else:
            missing.append(place)
    curves = []
    for (file, layer_id), pushes in groups.items():
        users = next(read_users(context.data_folder / file, SAMPLE), [])
        refused = _find_refused(context, automation, layer_id, users)
        willing = [user for user in users if user not in refused]
        reach = (
            records.forecast(willing, layer_id, WEEK_HOURS)
            if willing
            else Reach(0, [ReachPoint(utc_now(), 0, {})], None)
        )
        curves.append(ReachCurve(pushes, reach, len(refused)))
    return ReachPicture(automation, curves, missing)


def _find_refused(
    context: WebContext, automation: Automation, layer_id: int, users: Sequence[UUID]
) -> Collection[UUID]:
    """Return which users do not want a push of this layer now."""
    with context.database.transaction() as connection:
        found = select_opt_outs_of(connection, users, utc_now())
    return refuse_opted_out(found, automation, layer_id).keys()


def _find_files(context: WebContext, automation: Automation) -> Iterator[tuple[Push, str | None]]:
    """Yield each push with the file of its last audience."""
    with context.database.transaction() as connection:
        for push in automation.pushes:
            last = select_last_audience(connection, automation.script_id or "", push.audience_name)
            yield push, last.file if last else None
