"""Every list, page, alert and metric says the same of a send: live, stopped, ended, and old."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import pytest
import responses
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.rows import execute, fetch_values
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.adapters.funnels import sum_funnels
from push_blaster.domain.cadence.cadence import CapVerdict
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.operations.alert import AlertEvent
from push_blaster.use_cases.delivery.close_batches import close_batches
from push_blaster.use_cases.executions.stop_execution import stop_execution
from push_blaster.use_cases.operations.send_notices import send_notices
from tests.cadence_service.settings import CADENCE_TOKEN
from tests.page_reader import table_rows
from tests.people import ALICE, BOB
from tests.push_blaster.alert_support import a_sender, listening
from tests.push_blaster.bench import Bench
from tests.push_blaster.web.one_off.ad_hoc_pushes import register
from tests.push_blaster.web.page_support import Visitor
from tests.push_blaster.web.recipes import create

URL: Final = "https://hooks.example.com/alerts"
#: Two pushes to 100 users; the second push begins when the first one has ended.
LONG: Final[Mapping[str, Any]] = {
    "parameters": {"users": 100},
    "pushes": [{"layerId": 1}, {"layerId": 1}],
}


@pytest.fixture
def reader(client: FlaskClient, viewer: Visitor) -> Callable[[], dict[str, int]]:
    """Read how many users the newest execution was sent to, everywhere."""

    def get(path: str) -> Any:
        response = client.get(path)
        assert response.status_code == 200, response.text
        return response.get_json()

    def of_pushes(execution: Mapping[str, Any]) -> int:
        return sum(push["funnel"]["sent"] for push in execution["pushes"])

    def of_table(path: str) -> int:
        rows = [row for row in table_rows(viewer.get(path)) if len(row) == 8]
        return int(dict(zip(rows[0], rows[1], strict=True))["Sent"])

    def read() -> dict[str, int]:
        first = get("/api/executions")["executions"][0]
        sequence = get(f"/api/automation/sequences/{first['id']}")["data"]["executionResult"]
        logs = get("/api/push-logs")["logs"]
        export = client.get(f"/api/automation/news/executions/{first['id']}/export?include=pushes")
        sent_in_csv = [line.split(",")[11] for line in export.text.splitlines()[1:]]
        metrics = client.get("/metrics").text
        gauge = re.search(r'push_funnel_users\{stage="sent"\} ([\d.]+)', metrics)
        assert gauge
        page = viewer.get(f"/executions/{first['id']}")
        return {
            "the execution": of_pushes(get(f"/api/executions/{first['id']}")),
            "its page": sum(map(int, re.findall(r"<b>(\d+)</b> sent</span>", page))),
            "list": of_pushes(first),
            "history": get("/api/automation/news/history")["data"]["executions"][0]["metrics"][
                "totalSentCount"
            ],
            "recent": get("/api/automation/executions?automationId=news")["data"]["history"][0][
                "metrics"
            ]["totalSentCount"],
            "sequences": sequence["totalAudienceReached"],
            "push logs": sum(
                one["successCount"] for one in logs if one["executionId"] == first["id"]
            ),
            "export": sum(map(int, sent_in_csv)),
            "metric": int(float(gauge[1])),
            "page of all": of_table("/executions"),
            "page of the automation": of_table("/automations/news"),
        }

    return read


def alert(bench: Bench) -> dict[str, Any]:
    """Return the newest alert that the webhook gets now."""
    with responses.RequestsMock() as mock:
        mock.add_passthru("http://127.0.0.1")
        mock.post(URL, status=200)
        send_notices(bench.context, a_sender(URL, frozenset(AlertEvent), frozenset(Mode)))
        body: dict[str, Any] = json.loads(mock.calls[-1].request.body or b"")
    return body


@pytest.fixture
def news(client: FlaskClient, bench: Bench) -> Bench:
    """An automation with the name that executions of the bench have, and a clock of today."""
    bench.now = utc_now() - timedelta(minutes=1)
    listening(bench, a_sender(URL, frozenset(AlertEvent), frozenset(Mode)))
    create(client)
    return bench


def forget_what_is_kept(bench: Bench) -> None:
    """Leave the rows as a version left them that kept nothing."""
    with bench.database.transaction() as connection:
        execute(connection, "UPDATE execution_pushes SET funnel = NULL")
        execute(connection, "UPDATE send_batches SET counts = NULL")


def test_a_live_a_stopped_and_an_old_send_count_the_same_everywhere(
    news: Bench, reader: Callable[[], dict[str, int]]
) -> None:
    execution_id = news.start(**LONG)

    news.work_until_sent(40)
    live = reader()
    stop_execution(news.database, execution_id, "Wrong text.", news.now)
    told = alert(news)
    stopped = reader()
    news.now += timedelta(minutes=1)
    close_batches(news.context)
    closed = reader()
    forget_what_is_kept(news)
    old = reader()

    assert 40 <= live["the execution"] < 100
    assert set(live.values()) == {live["the execution"]}, live
    assert stopped == live
    assert closed == live
    assert old == live
    assert f"{live['list']} sent, 0 refused" in told["text"]
    assert [funnel["sent"] for funnel in told["funnels"]] == [live["list"]]


def test_a_send_that_goes_on_after_its_first_push_is_counted_with_both(
    news: Bench, reader: Callable[[], dict[str, int]]
) -> None:
    news.start(**LONG)
    news.work()
    news.now += timedelta(seconds=1)

    news.work_until_sent(140)
    close_batches(news.context)
    counted = reader()

    assert 140 <= counted["the execution"] < 200
    assert set(counted.values()) == {counted["the execution"]}, counted


def test_a_send_that_was_resumed_counts_only_its_own(
    news: Bench, client: FlaskClient, reader: Callable[[], dict[str, int]]
) -> None:
    execution_id = news.start(parameters={"users": 100}, pushes=[{"layerId": 1}])
    news.work_until_sent(40)
    stop_execution(news.database, execution_id, "Wrong text.", news.now)
    before = reader()
    news.now += timedelta(minutes=1)
    close_batches(news.context)

    resumed = client.post(f"/api/executions/{execution_id}/resume", json={}).get_json()["id"]
    news.run(resumed)
    counted = reader()

    assert counted.pop("metric") == 100, "both of them together"
    assert set(counted.values()) == {100 - before["list"]}, counted


def test_a_test_counts_its_testers_everywhere(
    news: Bench, reader: Callable[[], dict[str, int]]
) -> None:
    register(news, ALICE, BOB)
    testers = {"testUserIds": [str(ALICE), str(BOB)]}
    news.run(news.start(Mode.TEST_LIVE_SEND, settings=testers))

    counted = reader()

    assert counted.pop("metric") == 0, "it counts live sends"
    assert set(counted.values()) == {2}, counted


def test_what_went_out_unchecked_counts_while_it_goes_out(news: Bench, client: FlaskClient) -> None:
    news.start(**LONG)
    news.work_until_sent(40)
    with news.database.transaction() as connection:
        execute(connection, "UPDATE executions SET uncapped_reason = 'away'")

    unchecked = re.search(r"push_sends_uncapped ([\d.]+)", client.get("/metrics").text)

    assert unchecked
    assert 40 <= float(unchecked[1]) < 100


def test_a_quick_look_counts_only_the_newest_of_many_sends(news: Bench) -> None:
    since = news.now
    news.run(news.start(parameters={"users": 100}))
    news.run(news.start(parameters={"first": 500, "users": 60}, id="other"))

    with news.database.transaction() as connection:
        whole, part = (
            sum_funnels(connection, since, ["distinct"], newest=newest) for newest in (None, 1)
        )

    assert (whole["distinct"], part["distinct"]) == (160, 60)


def test_a_funnel_is_kept_once_nothing_can_change_any_more(news: Bench) -> None:
    def kept() -> list[bool]:
        sql = "SELECT funnel IS NOT NULL FROM execution_pushes ORDER BY execution_id, position"
        close_batches(news.context)
        with news.database.transaction() as connection:
            return fetch_values(connection, sql)

    execution_id = news.start(**LONG)
    news.work_until_sent(40)
    while_live = kept()
    stop_execution(news.database, execution_id, "Wrong text.", news.now)
    with_open_batches = kept()
    news.now += timedelta(minutes=1)
    after_its_batches = kept()

    assert (while_live, with_open_batches) == ([False, False], [False, False])
    assert after_its_batches == [True, False], "the second push never began"


class CadenceOfAStop(CadenceClient):
    """A client that answers only when `meanwhile` has happened."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def reserve_audience(
        self, user_ids: Sequence[UUID], layer_id: int, scheduled_for: datetime, key: str
    ) -> CapVerdict:
        verdict = super().reserve_audience(user_ids, layer_id, scheduled_for, key)
        self.meanwhile()
        return verdict


def test_an_answer_of_cadence_after_the_close_of_a_batch_changes_no_funnel(
    news: Bench, cadence_service: str
) -> None:
    news.run(news.start())
    cadence = CadenceOfAStop(cadence_service, CADENCE_TOKEN)
    news.change(cadence=cadence)
    capped = news.start(id="other")

    def stop_and_close() -> None:
        stop_execution(news.database, capped, "Wrong text.", news.now)
        news.now += timedelta(minutes=1)
        assert close_batches(news.context) == 1

    cadence.meanwhile = stop_and_close
    news.work()

    assert news.deliveries(capped) == []
    assert (news.funnel(capped)["excluded"], news.funnel(capped)["notSent"]) == (0, 10)


def test_rows_of_an_earlier_version_are_counted_once(news: Bench) -> None:
    news.run(news.start(parameters={"users": 100}))
    counted = news.funnel(news.executions()[0].id)
    forget_what_is_kept(news)

    close_batches(news.context)

    with news.database.transaction() as connection:
        kept = fetch_values(connection, "SELECT funnel FROM execution_pushes")
        uncounted = fetch_values(connection, "SELECT batch FROM send_batches WHERE counts IS NULL")
    assert (kept, uncounted) == ([counted], [])


def test_a_dry_run_says_in_lists_that_it_was_not_sent(
    news: Bench, client: FlaskClient, viewer: Visitor
) -> None:
    news.run(news.start(Mode.REAL_DRY_RUN))
    told = alert(news)

    for path in ("/executions", "/automations/news", "/"):
        (row,) = (row for row in table_rows(viewer.get(path)) if "Dry run" in row[3:])
        assert "10 would have been sent" in row, path
        assert "10" not in row[5:], path
    assert "10 would be sent" in told["text"]
    assert "0 sent" not in told["text"]


def test_a_simulation_says_in_lists_that_it_was_simulated(news: Bench, viewer: Visitor) -> None:
    news.run(news.start(Mode.SIMULATION))

    (row,) = (row for row in table_rows(viewer.get("/executions")) if "Simulation" in row)

    assert any(re.fullmatch(r"\d+ simulated", cell) for cell in row)
