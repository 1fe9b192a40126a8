"""Results, summed over the counters of pushes, and over the funnels of those that go out now."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple

from psycopg2.extras import Json

from chassis.postgres import Connection
from chassis.rows import fetch_all, fetch_value, fetch_values
from push_blaster.adapters.engagement.result_counting import list_sent
from push_blaster.adapters.funnels import select_funnels
from push_blaster.domain.engagement.results import (
    COUNT_NAMES,
    GLOBAL_HOLDOUT,
    OWN_HOLDOUT,
    OWN_TEXTS,
    WINDOW,
    Counts,
    Grouping,
    Result,
    ResultKey,
)

#: How many pushes that go out now, or just ended, are counted from their funnels.
LIVE_AT_ONCE: Final = 500
#: Among how many names the one is looked for that is most like an unknown one.
KNOWN_SHOWN: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFilter:
    """The pushes that results are about; None means any. Tests and dry runs are never among them.

    Shape: `since` is included and `until` is not; both compare with the instant of the push.
    """

    since: datetime | None = None
    until: datetime | None = None
    automation_id: str | None = None
    push_id: str | None = None
    layer_id: int | None = None
    execution_id: str | None = None


class DayStarts(NamedTuple):
    """Days one after the other, and the instants at which they begin in a zone."""

    days: Sequence[date]
    starts: Sequence[datetime]


NO_DAYS: Final = DayStarts((), ())


class Page(NamedTuple):
    """How many results are left out before the first, and how many there are at most.

    Shape: results by day have these `days`.
    """

    offset: int = 0
    limit: int = 100
    days: DayStarts = NO_DAYS


FITS: Final = """
    r.is_counted
    AND (%(since)s::timestamptz IS NULL OR r.sent_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR r.sent_at < %(until)s)
    AND (%(automation_id)s::text IS NULL OR r.automation_id = %(automation_id)s)
    AND (%(push_id)s::text IS NULL OR r.push_id = %(push_id)s)
    AND (%(layer_id)s::int IS NULL OR r.layer_id = %(layer_id)s)
    AND (%(execution_id)s::text IS NULL OR r.execution_id = %(execution_id)s)
"""
#: Whether the push `r` still sends, or events or conversions of it still come in.
IS_OPEN: Final = """
    (r.counted_at IS NULL
     OR r.sent_at + greatest(%(window)s, r.goal_hours * interval '1 hour') > %(now)s)
"""
_LIVE_NAMES: Final = ("sent", "failed", "in_doubt")
#: The counters of pushes; before those of a push are kept, its funnel stands in for them.
COUNTERS: Final = f"""
    SELECT r.*, c.variant, {", ".join(f"c.{name}" for name in COUNT_NAMES)}
      FROM result_pushes r
      JOIN result_counts c USING (execution_number, position)
     WHERE {FITS}
     UNION ALL
    SELECT r.*, l.variant, {", ".join(f"l.{n}" if n in _LIVE_NAMES else "0" for n in COUNT_NAMES)}
      FROM jsonb_to_recordset(%(live)s) AS l (number bigint, position smallint, variant smallint,
                                              sent int, failed int, in_doubt int)
      JOIN result_pushes r ON r.execution_number = l.number AND r.position = l.position
     WHERE r.next_batch IS NULL
"""  # noqa: S608 - constants
#: The columns that make a result, in their order, by grouping; a number makes only an order.
_KEYS: Final[Mapping[Grouping, Mapping[str, str]]] = {
    Grouping.AUTOMATION: {"automation_id": "r.automation_id"},
    Grouping.PUSH: {"automation_id": "r.automation_id", "push_id": "r.push_id"},
    Grouping.VARIANT: {
        "automation_id": "r.automation_id",
        "push_id": "r.push_id",
        "variant": "CASE WHEN r.variant > 0 THEN r.variants[r.variant] END",
    },
    Grouping.LAYER: {"layer_id": "r.layer_id"},
    Grouping.EXECUTION: {
        "number": "-r.execution_number",
        "automation_id": "r.automation_id",
        "execution_id": "r.execution_id",
    },
    Grouping.DAY: {
        "number": "-width_bucket(r.sent_at, %(starts)s::timestamptz[])",
        "day": "(%(days)s::date[])[width_bucket(r.sent_at, %(starts)s::timestamptz[])]",
    },
}


def select_results(
    connection: Connection, asked: ResultFilter, grouping: Grouping, page: Page, now: datetime
) -> list[Result]:
    """Return one page of results, without names of automations and comparisons."""
    keys = _KEYS[grouping]
    only = f"r.variant >= {OWN_TEXTS}" if grouping is Grouping.VARIANT else "true"
    named, whole = ", ".join(f"{key} AS {name}" for name, key in keys.items()), len(keys) + 1
    sums = ", ".join(f"sum({name}) AS {name}" for name in COUNT_NAMES)
    sql = f"""
        WITH counters AS ({COUNTERS}),
        by_execution AS (
          SELECT {named}, least(r.variant, {OWN_TEXTS}) AS arm, r.execution_number AS execution,
                 min(r.sent_at) AS first_sent_at, max(r.sent_at) AS last_sent_at,
                 bool_or({IS_OPEN}) AS is_open, {sums}
            FROM counters r
           WHERE {only}
           GROUP BY {", ".join(map(str, range(1, whole + 2)))}),
        summed AS (
          SELECT {", ".join(keys)}, arm, count(*) AS executions,
                 min(first_sent_at) AS first_sent_at, max(last_sent_at) AS last_sent_at,
                 bool_or(is_open) AS is_open, {sums}
            FROM by_execution
           GROUP BY {", ".join(map(str, range(1, whole + 1)))})
        SELECT * FROM (SELECT *, dense_rank() OVER (ORDER BY {", ".join(keys)}) AS rank
                         FROM summed) ranked
         WHERE rank > %(offset)s AND rank <= %(offset)s + %(limit)s
         ORDER BY rank, arm DESC
    """  # noqa: S608 - constants
    values = {
        **name_values(connection, asked, now),
        "days": list(page.days.days),
        "starts": list(page.days.starts),
        "offset": page.offset,
        "limit": page.limit,
    }
    rows = fetch_all(connection, sql, values, make=_Arm, by_name=True)
    return [_make_result(list(arms)) for _, arms in groupby(rows, attrgetter("rank"))]


def name_values(connection: Connection, asked: ResultFilter, now: datetime) -> dict[str, object]:
    """Return the values of COUNTERS and IS_OPEN."""
    live = Json(_select_live(connection, asked))
    return {**asdict(asked), "now": now, "window": WINDOW, "live": live}


def select_names(connection: Connection, automation_ids: Sequence[str]) -> dict[str, str]:
    """Return the newest names of automations, by id."""
    sql = """
        SELECT DISTINCT ON (automation_id) automation_id, automation_name
          FROM result_pushes
         WHERE automation_id = ANY(%s)
         ORDER BY automation_id, sent_at DESC
    """
    return dict(fetch_all(connection, sql, (list(automation_ids),)))


def select_known(
    connection: Connection, column: str, value: str, automation_id: str | None
) -> list[str]:
    """Return the values of a column that results have; only `value` if it is one of them."""
    sql = f"""
        SELECT DISTINCT {column} FROM result_pushes
         WHERE is_counted AND (%(automation_id)s::text IS NULL OR automation_id = %(automation_id)s)
    """  # noqa: S608 - our own names
    own = f"{sql} AND {column} = %(value)s"
    values = {"value": value, "automation_id": automation_id, "limit": KNOWN_SHOWN}
    return fetch_values(connection, own, values) or fetch_values(
        connection, f"{sql} LIMIT %(limit)s", values
    )


def select_zone(connection: Connection, automation_id: str) -> str | None:
    """Return the zone in which the automation sent last; None if it never sent."""
    sql = """
        SELECT zone FROM result_pushes WHERE automation_id = %s ORDER BY sent_at DESC LIMIT 1
    """
    zone: str | None = fetch_value(connection, sql, (automation_id,))
    return zone


def _select_live(connection: Connection, asked: ResultFilter) -> list[Mapping[str, int]]:
    """Return what pushes have sent whose counters are not kept yet, by variant, from funnels."""
    sql = f"""
        SELECT r.execution_number, r.position, r.execution_id, r.variants
          FROM result_pushes r
         WHERE {FITS} AND r.counted_at IS NULL AND r.next_batch IS NULL
         ORDER BY r.sent_at DESC LIMIT {LIVE_AT_ONCE}
    """  # noqa: S608 - constants
    pushes = fetch_all(connection, sql, asdict(asked))
    funnels = select_funnels(connection, list({push[2] for push in pushes}))
    return [
        {
            "number": number,
            "position": position,
            "variant": variant,
            **dict(zip(_LIVE_NAMES, counts, strict=True)),
        }
        for number, position, execution_id, variants in pushes
        for variant, counts in list_sent(funnels[execution_id][position], variants).items()
    ]


class _Arm:
    """The sums of one key: of who was offered a push, or of a holdout."""

    def __init__(self, *, rank: int, arm: int, **columns: Any) -> None:
        self.rank, self.arm, self.columns = rank, arm, columns
        whole = {name: int(columns[name]) for name in COUNT_NAMES if name != "value"}
        self.counts = Counts(**whole, value=columns["value"])


def _make_result(arms: Sequence[_Arm]) -> Result:
    """Return the result of one key; `arms` are its rows."""
    counts = {arm.arm: arm.counts for arm in arms}
    columns = [arm.columns for arm in arms]
    return Result(
        key=ResultKey(**{name: columns[0].get(name) for name in ResultKey._fields}),
        executions=max(one["executions"] for one in columns),
        first_sent_at=min(one["first_sent_at"] for one in columns),
        last_sent_at=max(one["last_sent_at"] for one in columns),
        is_open=any(one["is_open"] for one in columns),
        counts=counts.get(OWN_TEXTS, Counts()),
        holdout=counts.get(OWN_HOLDOUT, Counts()),
        global_holdout=counts.get(GLOBAL_HOLDOUT, Counts()),
    )
