"""The routes of results: names, pages, CSV, comparisons."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis.postgres import Database
from chassis.rows import execute
from push_blaster.domain.engagement.results import Grouping
from tests.push_blaster.engagement_story import SentPush, Story, insert_execution, insert_push
from tests.push_blaster.web.recipes import create

RESULTS = "/api/results"
AT = datetime(2026, 11, 10, 10, tzinfo=UTC)
SINCE = {"from": "2026-11-01", "until": "2026-11-30"}


def sent(
    database: Database,
    counts: dict[int, dict[str, int]],
    *,
    texts: str = "one",
    at: datetime = AT,
    variants: tuple[str, ...] = ("A", "B"),
) -> None:
    """Write down a push of `news` that has ended, with the counters of its variants."""
    execution_id = f"news@{at:%Y%m%dT%H%M%S}Z"
    with database.transaction() as connection:
        number = insert_execution(connection, execution_id, "news", "live", at, is_running=False)
        push = SentPush(
            number=number,
            execution_id=execution_id,
            automation_id="news",
            position=1,
            push_id="p1",
            layer_id=3,
            variants=list(variants),
            texts=texts,
            goal="order",
            sent_at=at,
            is_counted=True,
            is_running=False,
        )
        insert_push(connection, push)
        execute(
            connection,
            "UPDATE result_pushes SET counted_at = sent_at, next_batch = 0"
            " WHERE execution_number = %s",
            (number,),
        )
        for variant, own in counts.items():
            columns = ", ".join(("execution_number", "position", "variant", *own))
            execute(
                connection,
                f"INSERT INTO result_counts ({columns}) VALUES %s",  # noqa: S608 - the test's own
                ((number, 1, variant, *own.values()),),
            )


def get(client: FlaskClient, path: str = RESULTS, **query: Any) -> dict[str, Any]:
    answer = client.get(path, query_string={**SINCE, **query})
    assert answer.status_code == 200, answer.json
    found: dict[str, Any] = answer.get_json()
    return found


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"group": "variants"}, "There is no group 'variants'; did you mean 'variant'?"),
        ({"group": "weekday"}, "did you mean 'day'?"),
        ({"automationId": "new"}, "There is no automationId 'new'; did you mean 'news'?"),
        ({"pushId": "p2"}, "did you mean 'p1'?"),
        ({"automationId": ""}, "There is no automationId"),
        ({"executionId": "x" * 500}, "use a name that has results."),
        ({"grouping": "day"}, "There is no parameter 'grouping'; did you mean 'group'?"),
        ({"automation_id": "news"}, "did you mean 'automationId'?"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(
    client: FlaskClient, database: Database, query: dict[str, str], words: str
) -> None:
    sent(database, {0: {"sent": 1}})

    for path in (RESULTS, f"{RESULTS}.csv"):
        answer = client.get(path, query_string=query)

        assert answer.status_code == 400
        assert words in answer.get_data(as_text=True).replace('\\"', '"')


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"cursor": "x"},
        {"cursor": -1},
        {"layerId": 10**9},
        {"from": "yesterday"},
        {"mode": "test"},
        {"x" * 900: "1"},
        {"until": "9999-12-31"},
    ],
)
def test_a_value_that_does_not_fit_is_refused(client: FlaskClient, query: dict[str, Any]) -> None:
    assert client.get(RESULTS, query_string=query).status_code == 400


def test_an_automation_that_never_sent_has_empty_results(client: FlaskClient) -> None:
    create(client)

    answer = get(client, "/api/automation/recipes/news/results")

    assert answer["total"]["counts"]["sent"] == 0
    assert answer["total"]["openRate"] is None
    assert (answer["pushes"], answer["days"], answer["executions"]) == ([], [], [])
    assert get(client, automationId="news")["results"] == []


def test_an_unknown_automation_has_no_results(client: FlaskClient, database: Database) -> None:
    sent(database, {0: {"sent": 1}})

    answer = client.get("/api/automation/recipes/newt/results")

    assert answer.status_code == 404
    words = "There is no automationId 'newt'; did you mean 'news'?"
    assert answer.get_json()["detail"] == words


def test_a_deleted_and_renamed_automation_keeps_its_results_under_its_newest_name(
    client: FlaskClient, database: Database
) -> None:
    sent(database, {0: {"sent": 3}})
    sent(database, {0: {"sent": 4}}, at=AT + timedelta(days=1))
    with database.transaction() as connection:
        execute(
            connection,
            "UPDATE result_pushes SET automation_name = 'Fresh news' WHERE sent_at > %s",
            (AT,),
        )

    (result,) = get(client)["results"]

    assert result["key"]["automationId"] == "news"
    assert (result["automationName"], result["counts"]["sent"]) == ("Fresh news", 7)
    assert get(client, "/api/automation/recipes/news/results")["total"]["counts"]["sent"] == 7


def test_periods_include_their_first_instant_and_not_their_last(
    client: FlaskClient, database: Database
) -> None:
    for hours in range(3):
        sent(database, {0: {"sent": 1}}, at=AT + timedelta(hours=hours))

    period = {"from": AT.isoformat(), "until": (AT + timedelta(hours=2)).isoformat()}
    (result,) = get(client, **period)["results"]

    assert result["counts"]["sent"] == 2
    assert result["executions"] == 2


@pytest.mark.parametrize(
    "period",
    [
        {"from": "1970-01-01", "until": ""},
        {"from": "1970-01-01", "until": "2199-12-31"},
        {"from": "2026-11-09", "until": "2199-12-31"},
    ],
)
def test_a_day_is_right_however_long_the_period_is(
    client: FlaskClient, database: Database, period: dict[str, str]
) -> None:
    sent(database, {0: {"sent": 2}})
    sent(database, {0: {"sent": 3}}, at=AT + timedelta(days=1))

    answer = client.get(RESULTS, query_string={"group": "day", **_without_empty(period)})

    found = [(one["key"]["day"], one["counts"]["sent"]) for one in answer.get_json()["results"]]
    assert found == [("2026-11-11", 3), ("2026-11-10", 2)]


@pytest.mark.parametrize("group", Grouping)
def test_a_period_that_ends_before_it_begins_is_refused(
    client: FlaskClient, group: Grouping
) -> None:
    query = {"group": group.value, "from": "2026-11-20", "until": "2026-11-02"}

    refused = client.get(RESULTS, query_string=query)

    assert refused.status_code == 400
    assert "until" in refused.get_json()["error"]


def _without_empty(query: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in query.items() if value}


def test_variants_are_compared_in_a_sentence(client: FlaskClient, database: Database) -> None:
    for day in range(3):
        sent(
            database,
            {
                1: {"sent": 10_000, "opened": 1_000, "first_at_risk": 9_500, "first_opened": 800},
                2: {"sent": 10_000, "opened": 1_300, "first_at_risk": 9_500, "first_opened": 1_050},
            },
            at=AT + timedelta(days=day),
        )

    (push,) = get(client, "/api/automation/recipes/news/results")["pushes"]

    (pair,) = push["pairs"]
    assert (pair["first"], pair["second"]) == ("A", "B")
    assert pair["comparison"]["verdict"] == "more"
    assert 1.1 < pair["comparison"]["low"] < 1.3125 < pair["comparison"]["high"]
    assert "B is opened" in pair["comparison"]["sentence"]
    assert [one["openRate"] for one in push["variants"]] == [0.1, 0.13]


def test_pairs_have_the_order_of_the_variants(client: FlaskClient, database: Database) -> None:
    names = ("short", "B", "A")
    counts = {n: {"sent": 9, "first_at_risk": 9, "first_opened": n} for n in (1, 2, 3)}
    sent(database, counts, variants=names)

    (push,) = get(client, "/api/automation/recipes/news/results")["pushes"]

    pairs = [(pair["first"], pair["second"]) for pair in push["pairs"]]
    assert pairs == [("short", "B"), ("short", "A"), ("B", "A")]


def test_pairs_have_this_order_also_if_the_first_execution_lacks_a_variant(
    client: FlaskClient, database: Database
) -> None:
    names = ("short", "B", "A")
    for day, places in enumerate([(2, 3), (1, 3), (1, 2, 3)]):
        counts = {n: {"sent": 9, "first_at_risk": 9, "first_opened": n} for n in places}
        sent(database, counts, variants=names, at=AT + timedelta(days=day))

    (push,) = get(client, "/api/automation/recipes/news/results")["pushes"]

    pairs = [(pair["first"], pair["second"]) for pair in push["pairs"]]
    assert pairs == [("short", "B"), ("short", "A"), ("B", "A")]


def test_comparisons_begin_anew_with_new_texts(client: FlaskClient, database: Database) -> None:
    clear = {
        1: {"sent": 9_000, "first_at_risk": 9_000, "first_opened": 500},
        2: {"sent": 9_000, "first_at_risk": 9_000, "first_opened": 1_000},
    }
    sent(database, clear)
    sent(database, {1: {"sent": 9, "first_at_risk": 9}, 2: {"sent": 9, "first_at_risk": 9}},
         texts="two", at=AT + timedelta(days=1))  # fmt: skip

    (push,) = get(client, "/api/automation/recipes/news/results")["pushes"]

    assert push["pairs"][0]["comparison"]["verdict"] == "too_early"
    earlier = {"until": (AT + timedelta(hours=1)).isoformat()}
    (push,) = get(client, "/api/automation/recipes/news/results", **earlier)["pushes"]
    assert push["pairs"][0]["comparison"]["verdict"] == "more"


def test_an_uplift_compares_who_was_offered_a_turn_with_the_own_holdout(
    client: FlaskClient, database: Database
) -> None:
    sent(
        database,
        {
            0: {"assigned": 50_000, "first_assigned": 50_000, "first_converted": 3_000},
            -1: {"assigned": 10_000, "first_assigned": 10_000, "first_converted": 400},
            -2: {"assigned": 10_000, "first_assigned": 10_000, "first_converted": 9_000},
        },
        variants=(),
    )

    for group in ("automation", "execution"):
        (result,) = get(client, group=group)["results"]

        assert result["uplift"]["verdict"] == "more"
        assert result["uplift"]["low"] < 1.5 < result["uplift"]["high"]
        assert result["holdout"]["assigned"] == 10_000
    (result,) = get(client, group="layer")["results"]
    assert result["uplift"] is None


def test_a_csv_has_every_result_and_runs_no_formula(
    client: FlaskClient, database: Database
) -> None:
    Story(database, seed=9).tell(days=2)

    for group in Grouping:
        answer = client.get(f"{RESULTS}.csv", query_string={**SINCE, "group": group.value})

        rows = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True))))
        found = get(client, group=group.value)["results"]
        assert [int(row["sent"]) for row in rows] == [one["counts"]["sent"] for one in found]
        assert {row["automationName"] for row in rows} <= {"'=News", "'=Offers", ""}
        assert not any(cell.startswith("=") for row in rows for cell in row.values())


def test_results_by_layer_say_that_conversions_do_not_add_up(client: FlaskClient) -> None:
    assert "do not add up" in get(client, group="layer")["note"]
