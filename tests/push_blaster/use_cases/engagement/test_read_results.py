"""Comparisons of many executions are as good as those of each by itself, and take less time."""

from random import Random

import pytest

from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.rows import execute
from push_blaster.adapters.engagement.result_table import ResultFilter
from push_blaster.domain.engagement.comparison import Stratum, compare
from push_blaster.domain.engagement.results import Grouping
from push_blaster.use_cases.engagement.read_results import (
    MANY_STRATA,
    ResultQuery,
    pool_strata,
    read_every_result,
)
from tests.push_blaster.engagement import HOUR, SentPush


def a_stratum(random: Random, ratio: float) -> Stratum:
    """Return an execution with a holdout of about a tenth, in which 2 % or so convert."""
    a, b = random.randint(450, 550), random.randint(4_500, 5_500)
    events_a = sum(random.random() < 0.02 for _ in range(a))
    events_b = sum(random.random() < 0.02 * ratio for _ in range(b))
    return Stratum(a, events_a, b, events_b, is_open=False)


@pytest.mark.parametrize("ratio", [1.0, 1.5])
def test_executions_with_like_splits_are_compared_as_one(ratio: float) -> None:
    random = Random(7)  # noqa: S311 - no secret
    strata = [a_stratum(random, ratio) for _ in range(2 * MANY_STRATA)]

    pooled, each = pool_strata(strata), strata

    assert len(pooled) < len(strata) / 2
    assert sum(one.users for one in pooled) == sum(one.users for one in each)
    assert sum(one.events for one in pooled) == sum(one.events for one in each)
    one, other = compare(pooled), compare(each)
    assert one.verdict is other.verdict
    assert (one.ratio, one.low, one.high) == pytest.approx(
        (other.ratio, other.low, other.high), rel=0.01
    )


def test_few_executions_and_the_newest_stay_as_they_are() -> None:
    few = [Stratum(10, 1, 90, 12), Stratum(0, 0, 9, 1)] * (MANY_STRATA // 2)
    newest = Stratum(10, 2, 90, 9, is_open=True)

    assert pool_strata(few) == few
    assert pool_strata([*few, few[0], newest])[-1] == newest
    assert pool_strata([]) == []


def test_every_result_is_read_as_of_one_instant(database: Database) -> None:
    """A push that begins between two pages would move all later results by one place."""
    pushes = [SentPush(number=n, ago=n * HOUR).insert(database) for n in (1, 2, 3)]
    for push in pushes:
        note_sent(database, push)
    asked = ResultFilter(since=utc_now() - 24 * HOUR)
    query = ResultQuery(grouping=Grouping.EXECUTION, asked=asked, limit=1)

    found = []
    for number, page in enumerate(read_every_result(database, query, utc_now()), start=10):
        found += [str(one.key.execution_id) for one in page]
        note_sent(database, SentPush(number=number).insert(database))

    assert sorted(found) == ["news@1", "news@2", "news@3"]


def note_sent(database: Database, push: SentPush) -> None:
    sql = """
        INSERT INTO result_counts (execution_number, position, variant, sent) VALUES (%s, 1, 0, 1)
    """
    with database.transaction() as connection:
        execute(connection, sql, (push.number,))
