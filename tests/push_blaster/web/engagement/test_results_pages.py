"""The pages about results: figures, what changed, sentences, pictures, and what is odd."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.rows import execute
from tests.builders import a_document
from tests.page_reader import table_rows
from tests.push_blaster.engagement import SentPush
from tests.push_blaster.web.page_support import Visitor
from tests.push_blaster.web.recipes import create

DAY = timedelta(days=1)
ODD_NAMES = [
    "<script>alert(1)</script> & 'co'",
    "🌱🪴 رسالة إلى البستاني \u202e!",
    "long" * 125,
    "[[var:first_name]] {{ 7 * 7 }}",
]


def count(
    database: Database, push: SentPush, variant: int = 0, *, is_counted: bool = True, **counts: Any
) -> None:
    """Write counters of a push; `is_counted` says that its count is finished."""
    values = {"number": push.number, "position": push.position, "variant": variant, **counts}
    names = ", ".join(counts)
    given = ", ".join(f"%({name})s" for name in counts)
    with database.transaction() as connection:
        execute(
            connection,
            f"INSERT INTO result_counts (execution_number, position, variant, {names}) "  # noqa: S608
            f"VALUES (%(number)s, %(position)s, %(variant)s, {given})",
            values,
        )
        if is_counted:
            execute(
                connection,
                "UPDATE result_pushes SET counted_at = %s WHERE execution_number = %s",
                (utc_now(), push.number),
            )


def rename(database: Database, name: str) -> None:
    with database.transaction() as connection:
        execute(connection, "UPDATE result_pushes SET automation_name = %s", (name,))


def text_of(page: str) -> str:
    """Return the words of a page as a person reads them."""
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", page).split()))


def send_with_variants(database: Database, first: tuple[int, int], second: tuple[int, int]) -> None:
    push = SentPush(variants=["A", "B"]).insert(database)
    for place, (sent, opened) in enumerate((first, second), start=1):
        count(
            database,
            push,
            place,
            sent=sent,
            opened=opened,
            first_at_risk=sent,
            first_opened=opened,
            delivered=sent,
        )


def test_without_any_send_the_page_says_what_to_do(viewer: Visitor) -> None:
    page = viewer.get("/results")

    assert "Nothing was sent live in these 30 days." in page
    assert 'href="/automations"' in page
    assert "<svg" not in page.partition("<main")[2]


def test_if_no_app_has_reported_the_page_says_how_one_reports(
    viewer: Visitor, database: Database
) -> None:
    count(database, SentPush().insert(database), sent=1_000)

    for path in ("/results", "/results/news"):
        page = viewer.get(path)
        assert "No app has reported anything of these messages yet." in page
        link = re.search(r'href="([^"]+)">How an app reports', page)
        assert link
        target, _, anchor = link[1].partition("#")
        assert f'id="{anchor}"' in viewer.get(target)


def test_figures_are_those_of_the_counters_and_tell_what_changed(
    viewer: Visitor, database: Database
) -> None:
    now = SentPush(number=2).insert(database)
    before = SentPush(number=1, ago=35 * DAY).insert(database)
    count(database, now, sent=1_500, delivered=1_200, opened=300, opted_out=3)
    count(database, before, sent=1_000, delivered=800, opened=100)

    said = text_of(viewer.get("/results"))

    assert "Sent 1 500 +50 % messages" in said
    assert "Delivered 80 % as before 1 200 of these" in said
    assert "Opened 20 % +10.0 points 300 of these" in said
    assert "Opted out 0.2 % +0.2 points 3 of these" in said
    row = next(row for row in table_rows(viewer.get("/results")) if row and "News" in row[0])
    assert row[1:6] == ["1 500", "80 %", "20 %", "+10.0 points", "3"]


@pytest.mark.parametrize(
    ("days", "shown"), [("7", 7), ("90", 90), ("8", 30), ("x", 30), ("-1", 30), ("9" * 40, 30)]
)
def test_a_period_is_one_of_three(
    viewer: Visitor, database: Database, days: str, shown: int
) -> None:
    count(database, SentPush(ago=DAY).insert(database), sent=5, opened=1)

    page = viewer.get(f"/results/news?days={days}")

    assert f"Changes are against the {shown} days before." in page
    assert page.count('<rect class="whole"') == shown


def test_the_day_of_a_push_is_in_chart_and_table(viewer: Visitor, database: Database) -> None:
    count(database, SentPush(ago=2 * DAY).insert(database), sent=40, opened=10)

    page = viewer.get("/results/news")

    day = utc_now() - 2 * DAY
    assert f"{day:%a} {day.day} {day:%b %Y}: 40 sent to, 10 opened" in page
    assert [f"{day:%a} {day.day} {day:%b %Y}", "40", "0", "10", "25 %", "0"] in table_rows(page)


def test_variants_with_few_opens_are_too_early_to_tell(viewer: Visitor, database: Database) -> None:
    send_with_variants(database, (200, 9), (200, 12))

    page = viewer.get("/results/news")

    assert 'data-verdict="too_early">Too early to tell' in page
    assert ["A", "200", "200", "9", "4.5 %", "0", "0"] in table_rows(page)


def test_a_sure_winner_is_named_with_its_interval_drawn_and_said(
    viewer: Visitor, client: FlaskClient, database: Database
) -> None:
    create(client, **a_document(id="news", name="News"))
    send_with_variants(database, (10_000, 800), (10_000, 1_600))

    for path in ("/results/news", "/automations/news"):
        page = viewer.get(path)
        assert 'data-verdict="more">B is opened ' in page
        label = re.search(r'class="whisker".*?aria-label="B against A: ([^"]+)"', page, re.DOTALL)
        assert label
        assert re.fullmatch(
            r"\s*most likely 2\.00 times, between 1\.\d\d times and 2\.\d\d times\s*", label[1]
        )


def test_one_variant_has_nothing_to_be_compared_with(viewer: Visitor, database: Database) -> None:
    push = SentPush(variants=["only"]).insert(database)
    count(database, push, 1, sent=10, opened=3, first_at_risk=10, first_opened=3)

    page = viewer.get("/results/news")

    assert ["only", "10", "0", "3", "30 %", "0", "0"] in table_rows(page)
    assert "data-verdict" not in page


def test_of_very_many_pairs_a_page_draws_some_and_says_so(
    viewer: Visitor, database: Database
) -> None:
    push = SentPush(variants=[f"v{n}" for n in range(20)]).insert(database)
    for n in range(20):
        count(database, push, n + 1, sent=100, opened=n, first_at_risk=100, first_opened=n)

    page = viewer.get("/results/news")

    assert page.count('class="whisker"') == 12
    assert "178 more pairs" in page
    assert page.count("data-verdict") <= 5


def test_the_uplift_stands_beside_both_groups(viewer: Visitor, database: Database) -> None:
    push = SentPush(goal="order", hours=24).insert(database)
    offered: dict[str, Any] = {
        "assigned": 9_000,
        "converted": 900,
        "conversions": 950,
        "value": "123.5",
    }
    count(
        database, push, sent=8_000, opened=10, first_assigned=9_000, first_converted=900, **offered
    )
    held: dict[str, Any] = {
        "assigned": 1_000,
        "converted": 50,
        "first_assigned": 1_000,
        "first_converted": 50,
    }
    count(database, push, -1, **held)

    page = viewer.get("/results/news")

    assert ["Were offered a push", "9 000", "900", "10 %"] in table_rows(page)
    assert ["Holdout: got nothing", "1 000", "50", "5 %"] in table_rows(page)
    assert 'data-verdict="more"' in page
    assert "Offered against holdout: " in page
    assert "123.5" in viewer.get("/results")


def test_without_a_holdout_the_page_does_not_claim_an_uplift(
    viewer: Visitor, database: Database
) -> None:
    push = SentPush(goal="order", hours=24).insert(database)
    count(database, push, sent=10, opened=1, assigned=10, converted=2)

    page = viewer.get("/results/news")

    assert "Without a holdout, nobody knows" in page
    assert "Against holdout" not in page


@pytest.mark.parametrize("name", ODD_NAMES, ids=["markup", "right to left", "long", "templates"])
def test_odd_names_are_shown_as_they_are(viewer: Visitor, database: Database, name: str) -> None:
    push = SentPush(variants=[name, "B"]).insert(database)
    rename(database, name)
    for place in (1, 2):
        count(database, push, place, sent=100, opened=9, first_at_risk=100, first_opened=9)

    for path in ("/results", "/results/news"):
        page = viewer.get(path)
        assert f"<bdi>{html.escape(name).replace('&#x27;', '&#39;')}</bdi>" in page


def test_huge_numbers_break_nothing(viewer: Visitor, database: Database) -> None:
    push = SentPush(variants=["A", "B"]).insert(database)
    most = 2**31 - 1
    for place in (1, 2):
        count(
            database,
            push,
            place,
            sent=most,
            opened=most,
            first_at_risk=most,
            first_opened=most,
            value="99999999999999999999.99",
            converted=most,
            assigned=most,
        )

    assert "4\u202f294\u202f967\u202f294" in viewer.get("/results")
    assert "4\u202f294\u202f967\u202f294" in viewer.get("/results/news")


def test_more_opens_than_messages_are_at_most_everybody(
    viewer: Visitor, database: Database
) -> None:
    """As after a crash: a message in doubt was opened, and does not count as sent."""
    count(database, SentPush().insert(database), sent=1, opened=3, delivered=3)

    assert "100 %" in viewer.get("/results/news")


def test_a_deleted_automation_keeps_its_page_and_an_unknown_one_has_none(
    viewer: Visitor, database: Database
) -> None:
    count(database, SentPush().insert(database), sent=7, opened=1)

    page = viewer.get("/results/news")

    assert "deleted" in page
    assert ["The texts of the push", "7", "0", "1", "14.3 %", "0", "0"] in table_rows(page)
    assert viewer.client.get("/results/nothing").status_code == 404


def test_tests_never_count(viewer: Visitor, database: Database) -> None:
    count(database, SentPush(is_counted=False).insert(database), sent=7, opened=1)

    assert "Nothing was sent live" in viewer.get("/results")


def test_the_csv_has_the_same_results(viewer: Visitor, database: Database) -> None:
    count(database, SentPush().insert(database), sent=7, opened=1)

    for path in ("/results", "/results/news"):
        link = re.search(r'href="(/api/results.csv[^"]*)"', viewer.get(path))
        assert link
        lines = viewer.get(html.unescape(link[1])).splitlines()
        assert len(lines) == 2
        assert lines[1].startswith("news,News")


def test_the_list_of_automations_draws_the_last_runs(
    viewer: Visitor, client: FlaskClient, database: Database
) -> None:
    create(client, **a_document(id="news", name="News"))
    create(client, **a_document(id="quiet", name="Quiet"))
    for number, opened in ((1, 10), (2, 30), (3, 20)):
        push = SentPush(number=number, ago=(9 - number) * DAY).insert(database)
        count(database, push, sent=100, opened=opened)

    page = viewer.get("/automations")

    assert 'aria-label="Last 3 runs: opened by 10 % to 30 %"' in page
    assert page.count('class="sparkline"') == 1


def test_before_anybody_opens_the_last_runs_are_users_sent_to(
    viewer: Visitor, client: FlaskClient, database: Database
) -> None:
    create(client, **a_document(id="news", name="News"))
    count(database, SentPush().insert(database), sent=1_200)

    assert 'aria-label="Last run: 1\u202f200 sent, no opens"' in viewer.get("/automations")


def test_the_page_of_an_execution_says_when_results_come(
    operator: Visitor, client: FlaskClient
) -> None:
    create(client, **a_document(id="news", name="News"))
    live = client.post("/api/executions", json={"automationId": "news"}).get_json()["id"]
    tried = client.post("/api/automation/test/news", json={"mode": "real-dry-run"}).get_json()

    assert "Results appear here once the first push goes out." in operator.get(
        f"/executions/{live}"
    )
    page = operator.get(f"/executions/{tried['executionId']}")
    assert "Tests and dry runs have no results: only live sends count." in page
    assert operator.get(f"/live/results/executions/{live}") in operator.get(f"/executions/{live}")


def test_the_live_part_is_that_of_the_page(viewer: Visitor, database: Database) -> None:
    count(database, SentPush().insert(database), sent=7, opened=1)

    for path in ("/results", "/results/news?days=7"):
        part = viewer.get(f"/live{path}")
        assert "Opened" in part
        assert "<html" not in part
