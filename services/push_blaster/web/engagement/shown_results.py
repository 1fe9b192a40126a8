"""Results as pages show them: a period and the one before it, what changed, and charts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from math import ceil
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from chassis.postgres import Database
from push_blaster.adapters.engagement.result_table import ResultFilter
from push_blaster.domain.automations.automation import Automation
from push_blaster.domain.engagement.comparison import Comparison, ComparisonVerdict
from push_blaster.domain.engagement.results import (
    AutomationResults,
    Counts,
    Grouping,
    Pair,
    PushResults,
    Result,
    add_counts,
    share,
)
from push_blaster.domain.zones import place_in_zone
from push_blaster.use_cases.engagement.read_results import (
    ResultQuery,
    find_zone,
    read_automation_results,
    read_results,
)
from push_blaster.web.engagement.charts import (
    BarChart,
    Interval,
    LineChart,
    RatioChart,
    chart_bars,
    chart_ratios,
    chart_shares,
)
from push_blaster.web.frame.template_filters import number, percent

#: The periods that pages offer, in days; the second one is the usual one.
PERIODS: Final = (7, 30, 90)
USUAL_DAYS: Final = PERIODS[1]
#: How many automations the overview lists; the CSV has all.
SHOWN: Final = 100
_EVERY: Final = 5_000
_DAY: Final = timedelta(days=1)
#: How many labels an axis of days has at most.
_LABELS: Final = 7
#: How many sure sentences a push has on top, and how many pairs of variants are drawn.
_SENTENCES: Final = 5
_DRAWN: Final = 12
#: Sure sentences stand before others.
_SURE: Final = (ComparisonVerdict.MORE, ComparisonVerdict.LESS, ComparisonVerdict.ALIKE)


@dataclass(frozen=True, slots=True)
class ShownPeriod:
    """The last days of a zone, today among them, until now."""

    days: int
    zone: str
    since: datetime
    until: datetime

    @property
    def before(self) -> tuple[datetime, datetime]:
        """The period of the same length before, which ended at the same time of its last day."""
        return self.since - self.days * _DAY, self.until - self.days * _DAY

    @property
    def dates(self) -> list[date]:
        """The days of the period."""
        first = self.since.astimezone(ZoneInfo(self.zone)).date()
        return [first + n * _DAY for n in range(self.days)]


def find_period(days: int, zone: str, now: datetime) -> ShownPeriod:
    """Return the last `days` of a zone; another number than pages offer becomes the usual one."""
    length = days if days in PERIODS else USUAL_DAYS
    first = now.astimezone(ZoneInfo(zone)).date() - (length - 1) * _DAY
    since = place_in_zone(datetime.combine(first, time()), ZoneInfo(zone)).at
    return ShownPeriod(length, zone, since, now)


class Tile(NamedTuple):
    """One large figure: what it counts, the figure, what it means, and what changed."""

    label: str
    value: str
    detail: str
    change: str


@dataclass(frozen=True, slots=True)
class DayRow:
    """One day of the charts."""

    day: date
    counts: Counts

    @property
    def open_rate(self) -> float | None:
        """The share of the users sent to who opened."""
        return share(self.counts.opened, self.counts.sent)


@dataclass(frozen=True, slots=True)
class History:
    """The days of a period, and their charts."""

    rows: Sequence[DayRow]
    bars: BarChart
    rates: LineChart

    @property
    def labels(self) -> Sequence[date]:
        """The days that the axis names."""
        return [row.day for row in self.rows[:: ceil(len(self.rows) / _LABELS)]]


class TextRow(NamedTuple):
    """What one wording of a push did."""

    name: str
    result: Result


@dataclass(frozen=True, slots=True)
class ShownPush:
    """What one push did, with its variants and the intervals between them."""

    results: PushResults
    name: str

    @property
    def rows(self) -> Sequence[TextRow]:
        """The variants, or the texts of a push without variants."""
        rows = [TextRow(one.key.variant or "", one) for one in self.results.variants]
        return rows or [TextRow("The texts of the push", self.results.result)]

    @property
    def pairs(self) -> Sequence[Pair]:
        """The pairs of variants, the sure ones first."""
        return sorted(self.results.pairs, key=lambda pair: pair.comparison.verdict not in _SURE)

    @property
    def on_top(self) -> Sequence[Pair]:
        """The pairs whose sentences stand on top: the sure ones, or one that says how it stands."""
        sure = [pair for pair in self.pairs if pair.comparison.verdict in _SURE]
        return sure[:_SENTENCES] or self.pairs[:1]

    @property
    def drawn(self) -> Sequence[Pair]:
        """The pairs that have an interval, as many as a page draws."""
        return [pair for pair in self.pairs if pair.comparison.low is not None][:_DRAWN]

    @property
    def undrawn(self) -> int:
        """How many pairs the page leaves out."""
        return len(self.pairs) - len(self.drawn)

    @property
    def chart(self) -> RatioChart:
        """The intervals of the pairs that are drawn."""
        return chart_ratios([draw_interval(pair.comparison) for pair in self.drawn])


@dataclass(frozen=True, slots=True)
class AutomationRow:
    """One automation in the overview, and its counts in the period before."""

    result: Result
    before: Counts

    @property
    def change(self) -> str:
        """What changed in the open rate."""
        return _compare_shares(self.result.open_rate, share(self.before.opened, self.before.sent))


@dataclass(frozen=True, slots=True)
class Overview:
    """The results of all automations in a period."""

    period: ShownPeriod
    total: Counts
    tiles: Sequence[Tile]
    history: History
    rows: Sequence[AutomationRow]
    is_open: bool

    @property
    def more(self) -> int:
        """How many automations the page leaves out."""
        return max(0, len(self.rows) - SHOWN)


@dataclass(frozen=True, slots=True)
class ShownResults:
    """The results of one automation, or of one execution of it."""

    results: AutomationResults
    pushes: Sequence[ShownPush]
    tiles: Sequence[Tile]
    period: ShownPeriod | None = None
    history: History | None = None

    @property
    def total(self) -> Result:
        """The results of all pushes together."""
        return self.results.total

    @property
    def uplift(self) -> RatioChart | None:
        """The interval of the uplift, if there is one."""
        found = self.total.uplift
        is_drawn = found is not None and found.low is not None
        return chart_ratios([draw_interval(found)]) if found and is_drawn else None


def read_overview(database: Database, days: int, now: datetime) -> Overview:
    """Return the results of all automations in the last days."""
    period = find_period(days, "UTC", now)
    asked = ResultFilter(since=period.since, until=period.until)
    by_layer = ResultQuery(grouping=Grouping.LAYER, asked=asked, limit=_EVERY)
    layers = read_results(database, by_layer, now)
    before = _read_before(database, period, Grouping.LAYER, now)
    total = add_counts(one.counts for one in layers)
    by_day = ResultQuery(grouping=Grouping.DAY, asked=asked, limit=_EVERY)
    by_name = ResultQuery(grouping=Grouping.AUTOMATION, asked=asked, limit=_EVERY)
    earlier = {
        one.key.automation_id: one.counts
        for one in _read_before(database, period, Grouping.AUTOMATION, now)
    }
    found = read_results(database, by_name, now)
    rows = [AutomationRow(one, earlier.get(one.key.automation_id, Counts())) for one in found]
    return Overview(
        period,
        total,
        make_tiles(total, add_counts(one.counts for one in before)),
        make_history(period, read_results(database, by_day, now)),
        sorted(rows, key=lambda row: -row.result.counts.sent),
        is_open=any(one.is_open for one in layers),
    )


def read_one(
    database: Database, automation_id: str, days: int, automation: Automation | None, now: datetime
) -> ShownResults:
    """Return the results of one automation in the last days; its texts name its pushes."""
    period = find_period(days, find_zone(database, automation_id), now)
    asked = ResultFilter(automation_id=automation_id, since=period.since, until=period.until)
    found = read_automation_results(database, asked, period.zone, now)
    before = _read_before(database, period, Grouping.AUTOMATION, now, automation_id)
    counts = add_counts(one.counts for one in before)
    return ShownResults(
        found,
        name_pushes(found, automation),
        make_tiles(found.total.counts, counts, has_goal=_has_goal(automation)),
        period,
        make_history(period, found.days),
    )


def read_execution_results(
    database: Database, execution_id: str, automation: Automation, now: datetime
) -> ShownResults:
    """Return the results of one execution."""
    asked = ResultFilter(automation_id=automation.id, execution_id=execution_id)
    found = read_automation_results(database, asked, "UTC", now)
    tiles = make_tiles(found.total.counts, Counts(), has_goal=_has_goal(automation))
    return ShownResults(found, name_pushes(found, automation), tiles)


def _has_goal(automation: Automation | None) -> bool:
    return automation is not None and automation.settings.goal is not None


def name_pushes(found: AutomationResults, automation: Automation | None) -> list[ShownPush]:
    """Return the pushes in the order of the sequence, with their titles; older ones come last."""
    titles: Mapping[str, str] = {
        push.id: f"{place}. {push.title}"
        for place, push in enumerate(automation.pushes if automation else (), start=1)
    }
    places = {push_id: place for place, push_id in enumerate(titles)}
    shown = [ShownPush(one, titles.get(one.result.key.push_id or "", "")) for one in found.pushes]
    return sorted(
        shown, key=lambda one: places.get(one.results.result.key.push_id or "", len(places))
    )


def make_tiles(now: Counts, before: Counts, *, has_goal: bool = False) -> list[Tile]:
    """Return the large figures of some counts, with what changed against those before."""
    sent = Tile("Sent", number(now.sent), "messages", _compare_counts(now.sent, before.sent))
    shares = [
        ("Delivered", now.delivered, before.delivered),
        ("Opened", now.opened, before.opened),
        ("Opted out", now.opted_out, before.opted_out),
    ]
    tiles = [
        _tile(label, "of these", (part, now.sent), (old, before.sent))
        for label, part, old in shares
    ]
    if has_goal or now.converted or before.converted:
        whole = f"of {number(now.assigned)} users who were offered a push"
        reached, earlier = (now.converted, now.assigned), (before.converted, before.assigned)
        tiles.append(_tile("Reached the goal", whole, reached, earlier))
    return [sent, *tiles]


def _tile(label: str, whole: str, now: tuple[int, int], before: tuple[int, int]) -> Tile:
    """Return the tile of a part of a whole."""
    change = _compare_shares(share(*now), share(*before))
    return Tile(label, percent(share(*now)), f"{number(now[0])} {whole}", change)


def make_history(period: ShownPeriod, days: Iterable[Result]) -> History:
    """Return every day of a period, with what was sent on it, and the charts of it."""
    found = {one.key.day: one.counts for one in days}
    rows = [DayRow(day, found.get(day, Counts())) for day in period.dates]
    return History(
        rows,
        chart_bars([(row.counts.sent, row.counts.opened) for row in rows]),
        chart_shares([row.open_rate for row in rows]),
    )


def draw_interval(found: Comparison) -> Interval:
    """Return the interval of a comparison."""
    return Interval(found.low or 0.0, found.ratio, found.high)


def _read_before(
    database: Database,
    period: ShownPeriod,
    grouping: Grouping,
    now: datetime,
    automation_id: str | None = None,
) -> list[Result]:
    since, until = period.before
    asked = ResultFilter(since=since, until=until, automation_id=automation_id)
    return read_results(database, ResultQuery(grouping=grouping, asked=asked, limit=_EVERY), now)


def _compare_counts(now: int, before: int) -> str:
    """Return what changed in a count, in percent of what it was; nothing of nothing."""
    if not before:
        return ""
    change = (now - before) / before
    if abs(change) < 0.0005:
        return "as before"
    if change > 10:
        return f"{number(round(now / before))} times as many as before"
    return f"{'+' if change > 0 else '−'}{percent(abs(change))}"


def _compare_shares(now: float | None, before: float | None) -> str:
    """Return what changed in a share, in percentage points."""
    if now is None or before is None:
        return ""
    points = round((now - before) * 100, 1)
    if not points:
        return "as before"
    return f"{'+' if points > 0 else '−'}{abs(points):.1f} points"
