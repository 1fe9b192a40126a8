"""The judge of the day: nothing unexplained, nothing unaccounted for, no memory that grows."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import mean
from typing import Final

from tests.day.day import Day
from tests.day.faults import EFFECTS, Struck
from tests.day.observer import Weighed
from tests.torture.checker import find_faults

#: What a process takes in until it has done each kind of work once is no leak; and of a life that
#: was not warm for as long again nobody can tell.
WARM_UP: Final = timedelta(minutes=10)
#: What may grow in a day: a tenth, or so many megabytes if that is more.
GROWTH_SHARE: Final = 0.1
GROWTH_MB: Final = 10.0
#: A fault near the end has had no time to be heard of.
HEARD_WITHIN: Final = timedelta(seconds=45)


@dataclass(frozen=True, slots=True)
class Growth:
    """How a part's memory went: the straight line through it, over the whole run."""

    part: str
    mean_mb: float
    grown_mb: float

    @property
    def is_flat(self) -> bool:
        """Whether it grows by no more than noise."""
        return self.grown_mb <= max(GROWTH_MB, GROWTH_SHARE * self.mean_mb)


def judge(day: Day) -> list[str]:
    """Return everything that is wrong, in words."""
    return [
        *(f"{found.fault}: {found.where}: {found.text}" for found in find_faults(day.evidence)),
        *find_unexplained(day),
        *find_unheard(day),
        *find_unaccounted(day),
        *(f"lost update: {text}" for text in day.odd),
        *(f"left by itself: {text}" for text in day.left_by_themselves),
        *(
            f"memory: {growth.part} grew by {growth.grown_mb:.1f} of {growth.mean_mb:.0f} MB"
            for growth in measure_growth(day)
            if not growth.is_flat
        ),
    ]


def find_unexplained(day: Day) -> Iterator[str]:
    """Yield alerts, and messages of the webhook, that no fault explains."""
    for alarm in day.alarms:
        if not explain(day.struck, alarm.name, alarm.at):
            yield f"unexplained: {alarm.name} = {alarm.value:g} at {alarm.at:%H:%M:%S}"
    for message in day.messages:
        if not explain(day.struck, message.event, message.at, message.automation_id):
            yield f"unexplained: {message.text} ({message.at:%H:%M:%S})"


def explain(
    struck: Sequence[Struck], name: str, at: datetime, automation_id: str | None = None
) -> Struck | None:
    """Return the latest fault that explains it."""
    found = [fault for fault in struck if fault.explains(name, at, automation_id)]
    return max(found, key=lambda fault: fault.since, default=None)


def find_unheard(day: Day) -> Iterator[str]:
    """Yield faults that should have raised an alert and did not."""
    heard = [(alarm.name, alarm.at) for alarm in day.alarms]
    heard += [(message.event, message.at) for message in day.messages]
    for fault in day.struck:
        for name in sorted(EFFECTS[fault.kind].raises):
            is_over = fault.until + HEARD_WITHIN < day.ended_at
            if is_over and not any(n == name and fault.explains(n, at) for n, at in heard):
                yield f"unheard: {fault.kind} at {fault.since:%H:%M:%S} raised no {name}"


def find_unaccounted(day: Day) -> Iterator[str]:
    """Yield executions of no slot, slots executed twice, and ends of which nobody says why."""
    planned = {planned.id: planned for planned in day.planned}
    executions = list(day.evidence.executions.values())
    scheduled = [execution for execution in executions if execution.is_scheduled]
    for execution in executions:
        if execution.phase != "completed" and not execution.reason:
            yield f"unaccounted: {execution.id} is {execution.phase}, and nobody says why"
    for execution in scheduled:
        if not planned[execution.automation_id].has_slot(execution.slot):
            yield f"unaccounted: {execution.id} is at no slot of its automation"
    slots = Counter((execution.automation_id, execution.slot) for execution in scheduled)
    for automation_id, slot in slots - Counter(set(slots)):
        yield f"unaccounted: {automation_id} ran more than once at {slot:%H:%M:%S}"


def measure_growth(day: Day, warm_up: timedelta = WARM_UP) -> list[Growth]:
    """Return the growth of each part that lived for long enough to tell."""
    lives: dict[str, dict[int, list[Weighed]]] = defaultdict(lambda: defaultdict(list))
    for weighed in day.weights:
        if weighed.at <= day.ended_at:
            lives[weighed.part][weighed.life].append(weighed)
    grown = [_measure(part, list(of.values()), day, warm_up) for part, of in lives.items()]
    return [growth for growth in grown if growth]


def _measure(part: str, lives: list[list[Weighed]], day: Day, warm_up: timedelta) -> Growth | None:
    """Fit one slope to all long lives of a part, each with a level of its own, once it is warm."""
    long = [life for life in lives if life[-1].at - life[0].at >= 2 * warm_up]
    warm = [[w for w in life if w.at - life[0].at >= warm_up] for life in long]
    points = [point for life in warm for point in _centred(life)]
    spread = sum(seconds**2 for seconds, _ in points)
    if not spread:
        return None
    slope = sum(seconds * mb for seconds, mb in points) / spread
    lasts_s = (day.ended_at - day.began_at).total_seconds()
    return Growth(part, mean(w.rss_mb for life in warm for w in life), slope * lasts_s)


def _centred(life: list[Weighed]) -> Iterator[tuple[float, float]]:
    if not life:
        return
    middle = mean(w.at.timestamp() for w in life)
    level = mean(w.rss_mb for w in life)
    for w in life:
        yield w.at.timestamp() - middle, w.rss_mb - level
