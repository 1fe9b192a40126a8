"""Read results: sums of counters, the names of automations, and what comparisons say."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from itertools import combinations
from math import log
from typing import Final
from zoneinfo import ZoneInfo

from chassis.postgres import Connection, Database
from chassis.rows import execute
from push_blaster.adapters.engagement.result_strata import (
    StrataKey,
    VariantOpens,
    select_uplift_strata,
    select_variant_opens,
)
from push_blaster.adapters.engagement.result_table import (
    NO_DAYS,
    DayStarts,
    Page,
    ResultFilter,
    select_names,
    select_results,
    select_zone,
)
from push_blaster.domain.engagement.comparison import Comparison, Stratum, compare, count_pairs
from push_blaster.domain.engagement.results import (
    AutomationResults,
    Grouping,
    Pair,
    PushResults,
    Result,
    ResultKey,
)
from push_blaster.domain.engagement.sentences import UPLIFT, Words
from push_blaster.domain.zones import list_zones, place_in_zone

#: How many executions the results of an automation list.
EXECUTIONS_SHOWN: Final = 100
_ALL: Final = 5_000
#: How many days back results by day go.
MAX_DAYS: Final = 3_660
_DAY: Final = timedelta(days=1)
#: With more executions than these, those whose users are split alike are compared as one.
MANY_STRATA: Final = 50
#: The results that are compared with a holdout, and what their strata are of.
_KEY_OF_UPLIFT: Final = {
    Grouping.AUTOMATION: StrataKey.AUTOMATION,
    Grouping.EXECUTION: StrataKey.EXECUTION,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultQuery:
    """Which results, and which page of them; days are those of `zone`."""

    grouping: Grouping
    asked: ResultFilter
    zone: str = "UTC"
    offset: int = 0
    limit: int = 100


def read_results(database: Database, query: ResultQuery, now: datetime) -> list[Result]:
    """Return one page of results."""
    with database.transaction() as connection:
        return _read_page(connection, query, now)


def read_every_result(
    database: Database, query: ResultQuery, now: datetime
) -> Iterator[Sequence[Result]]:
    """Yield every result, page by page, all as they are at one instant.

    One transaction reads them: keep nobody waiting between two pages.
    """
    with database.transaction() as connection:
        execute(connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        found = _read_page(connection, query, now)
        while found:
            yield found
            query = replace(query, offset=query.offset + query.limit)
            found = _read_page(connection, query, now) if len(found) == query.limit else []


def find_zone(database: Database, automation_id: str | None) -> str:
    """Return the zone of the days of results: the automation's, and UTC across automations."""
    if automation_id is None:
        return "UTC"
    with database.transaction() as connection:
        zone = select_zone(connection, automation_id)
    return zone if zone in list_zones() else "UTC"


def read_automation_results(
    database: Database, asked: ResultFilter, zone: str, now: datetime
) -> AutomationResults:
    """Return what one automation did, in all and by push, variant, day and execution."""
    automation_id = asked.automation_id or ""
    every = ResultQuery(grouping=Grouping.AUTOMATION, asked=asked, zone=zone, limit=_ALL)
    newest = replace(every, grouping=Grouping.EXECUTION, limit=EXECUTIONS_SHOWN)
    with database.transaction() as connection:
        total = _read_page(connection, every, now)
        pushes = _read_page(connection, replace(every, grouping=Grouping.PUSH), now)
        variants = _read_page(connection, replace(every, grouping=Grouping.VARIANT), now)
        opens = select_variant_opens(connection, asked, automation_id, now)
        days = _read_page(connection, replace(every, grouping=Grouping.DAY), now)
        executions = _read_page(connection, newest, now)
    return AutomationResults(
        automation_id=automation_id,
        total=total[0] if total else Result(key=ResultKey(automation_id=automation_id)),
        pushes=[_join_push(push, variants, opens) for push in pushes],
        days=days,
        executions=executions,
    )


def _read_page(connection: Connection, query: ResultQuery, now: datetime) -> list[Result]:
    asked, days = query.asked, NO_DAYS
    if query.grouping is Grouping.DAY:
        days = _list_days(asked, query.zone, now)
        asked = replace(asked, since=max(asked.since or days.starts[0], days.starts[0]))
    page = Page(query.offset, query.limit, days)
    results = select_results(connection, asked, query.grouping, page, now)
    ids = sorted({one.key.automation_id for one in results if one.key.automation_id})
    names = select_names(connection, ids)
    uplifts = _compare_holdouts(connection, query, results, now)
    return [
        replace(
            one,
            automation_name=names.get(one.key.automation_id or ""),
            uplift=uplifts.get(one.key.execution_id or one.key.automation_id or ""),
        )
        for one in results
    ]


def _compare_holdouts(
    connection: Connection, query: ResultQuery, results: Sequence[Result], now: datetime
) -> Mapping[str, Comparison]:
    """Return the uplift of each automation or execution that has a goal and a holdout."""
    key = _KEY_OF_UPLIFT.get(query.grouping)
    if key is None:
        return {}
    names = [str(getattr(one.key, key)) for one in results]
    found = select_uplift_strata(connection, query.asked, key, names, now)
    return {
        name: compare(pool_strata(strata), UPLIFT)
        for name, strata in found.items()
        if any(one.is_comparable for one in strata)
    }


def pool_strata(strata: Sequence[Stratum]) -> list[Stratum]:
    """Return the strata of many executions in fewer ones; the newest one stays as it is.

    An event says the same in all executions whose users are split alike, so their counts are added
    up: splits of one stratum differ by less than 1 %.
    """
    if len(strata) <= MANY_STRATA:
        return list(strata)
    alike: dict[int, Stratum] = {}
    for one in filter(lambda each: each.is_comparable, strata[:-1]):
        split = round(100 * log(one.users_b / one.users_a))
        known = alike.get(split, Stratum(0, 0, 0, 0, is_open=False))
        alike[split] = Stratum(
            known.users_a + one.users_a,
            known.events_a + one.events_a,
            known.users_b + one.users_b,
            known.events_b + one.events_b,
            known.is_open or one.is_open,
        )
    return [*alike.values(), strata[-1]]


def _join_push(
    push: Result, variants: Sequence[Result], opens: Sequence[VariantOpens]
) -> PushResults:
    own = [one for one in variants if one.key.push_id == push.key.push_id and one.key.variant]
    counted = [one for one in opens if one.push_id == push.key.push_id]
    return PushResults(result=push, variants=own, pairs=compare_variants(counted))


def compare_variants(opens: Sequence[VariantOpens]) -> list[Pair]:
    """Return each pair of the variants of one push, compared by first opens."""
    known = {name for one in opens for name in one.variants}
    names = [name for name in (opens[-1].order if opens else ()) if name in known]
    pairs = count_pairs(len(names))
    return [
        Pair(
            first=first,
            second=second,
            comparison=compare(
                pool_strata(_list_strata(opens, first, second)), Words(first, second), pairs
            ),
        )
        for first, second in combinations(names, 2)
    ]


def _list_strata(opens: Sequence[VariantOpens], first: str, second: str) -> list[Stratum]:
    return [
        Stratum(*one.variants[first], *one.variants[second], is_open=one.is_open)
        for one in opens
        if first in one.variants and second in one.variants
    ]


def _list_days(asked: ResultFilter, zone: str, now: datetime) -> DayStarts:
    """Return the days from the first to the last instant that is asked for, in a zone.

    Of more than MAX_DAYS, the last ones up to tomorrow: other days have no pushes yet.
    """
    info, most = ZoneInfo(zone), MAX_DAYS * _DAY
    until = asked.until or now + _DAY
    since = asked.since or until - most
    until = min(until, max(now + _DAY, since + most))
    first, last = max(since, until - most).astimezone(info).date(), until.astimezone(info).date()
    days = [first + n * _DAY for n in range(max(0, (last - first).days) + 1)]
    return DayStarts(days, [place_in_zone(datetime.combine(d, time()), info).at for d in days])
