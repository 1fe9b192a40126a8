"""The traps that comparable systems fell into, each as a test; test_completeness.py lists them."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.clock import utc_now
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.adapters.delivery.batch_table import dispatch_batches, take_batch
from push_blaster.adapters.delivery.pacing import TokenBucket
from push_blaster.adapters.operations.alert_webhook import AlertWebhook, WebhookUnavailableError
from push_blaster.domain.executions.limits import Limits
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.delivery.close_batches import close_batches
from push_blaster.use_cases.executions.advance_execution import advance_execution
from tests.builders import NOON
from tests.cadence_service.settings import CADENCE_TOKEN
from tests.journeys.stack import user, wait_until
from tests.people import ALICE
from tests.push_blaster.bench import EVER, Bench, messages, violations
from tests.push_blaster.web.recipes import RECIPES
from tests.regressions.support import create, daily_in, tick_files
from tests.scripts import ZONES
from tests.serving import running

DAY = timedelta(days=1)
ENDED = ("completed", "failed", "cancelled", "missed", "skipped")


def test_trap_a_checkpoint_moved_when_work_is_fetched(bench: Bench) -> None:
    execution_id = bench.start(parameters={"users": 40})
    while bench.execution(execution_id).phase is not Phase.LIVE_EXECUTION:
        advance_execution(bench.context, execution_id)
    advance_execution(bench.context, execution_id)
    with bench.database.transaction() as connection:
        fetched = dispatch_batches(connection, bench.now, EVER, 2)
        taken = [take_batch(connection, key, "a worker") for key in fetched]
    assert [batch.rows for batch in taken if batch] == [20, 20], "by a worker that then dies"

    assert bench.run(execution_id).phase is Phase.COMPLETED
    assert sorted(m["userId"] for m in messages(bench)) == [user(n) for n in range(1, 41)]


def test_trap_a_rate_counted_by_the_minute_of_the_hour(cadence: FlaskClient) -> None:
    bucket = TokenBucket(6_000)
    begun = time.monotonic()
    for _ in range(6):
        bucket.take(10, lambda: False)
    assert time.monotonic() - begun >= 0.4, "100 a second, whatever second it is"

    rule = {
        "name": "hourly",
        "appliesToLayers": [3],
        "countedLayers": [3],
        "windowHours": 1,
        "maxCount": 1,
    }
    cadence.delete("/rules/layer_3_cooldown_hours")
    assert cadence.post("/rules", json=rule).status_code in {200, 201}
    track(cadence, 3, NOON)
    assert ask(cadence, 3, NOON + timedelta(minutes=59)) == []
    assert ask(cadence, 3, NOON + timedelta(minutes=60)) == [str(ALICE)]


def track(cadence: FlaskClient, layer_id: int, at: Any) -> None:
    told = {
        "userId": str(ALICE),
        "layerId": layer_id,
        "pushTitle": "T",
        "pushBody": "B",
        "audienceDescription": "A",
        "sentAt": at.isoformat(),
    }
    assert cadence.post("/track-notification", json=told).get_json()["recorded"] == 1


def ask(cadence: FlaskClient, layer_id: int, at: Any, **more: Any) -> list[str]:
    body = {"userIds": [str(ALICE)], "layerId": layer_id, "scheduledFor": at.isoformat(), **more}
    eligible: list[str] = cadence.post("/filter-audience", json=body).get_json()["eligibleUserIds"]
    return eligible


def test_trap_a_cap_that_is_read_first_and_raised_afterwards(
    cadence: FlaskClient, cadence_app: Flask
) -> None:
    def reserve(caller: int) -> int:
        client = cadence_app.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {CADENCE_TOKEN}"
        return len(ask(client, 3, NOON, reservation={"key": f"caller {caller}"}))

    with ThreadPoolExecutor(8) as callers:
        granted = list(callers.map(reserve, range(16)))

    assert sum(granted) == 1


def test_trap_a_zero_read_as_a_limit(bench: Bench, client: FlaskClient) -> None:
    zero = {"requireTestFirst": False, "alertThresholds": {"audienceSize": 0}}
    settings = {"cancellationWindowMinutes": 0, "safeguards": zero}

    execution = bench.run(bench.start(settings=settings))

    assert execution.phase is Phase.COMPLETED
    assert execution.live_at == execution.slot, "no window, and not the usual one"
    assert violations(bench) == []
    create(client)
    refused = client.put(f"{RECIPES}/news", json={"settings": {"maxAudienceSize": 0}})
    assert refused.status_code == 400
    assert "settings.maxAudienceSize" in refused.get_json()["error"]


def test_trap_a_stop_that_forgets_what_waits_for_its_turn(
    bench: Bench, client: FlaskClient
) -> None:
    usual = bench.context.pacer
    bench.change(clock=utc_now, pacer=TokenBucket(60))
    bench.now = utc_now()
    execution_id = bench.start(id="first", parameters={"users": 40})

    def keep_working() -> None:
        while not bench.execution(execution_id).has_ended:
            bench.now = utc_now()
            bench.work()

    sending = threading.Thread(target=keep_working)
    sending.start()
    wait_until(lambda: len(messages(bench)), lambda sent: sent >= 5, 30)

    receipt = client.post(f"/api/executions/{execution_id}/stop").get_json()
    sending.join(5)

    assert not sending.is_alive(), "35 more seconds were to be waited for the rate"
    assert (receipt["sent"], receipt["inFlight"], receipt["notSent"]) == (5, 0, 35)
    bench.change(clock=lambda: utc_now() + timedelta(seconds=5), pacer=usual)
    close_batches(bench.context)
    bench.now = utc_now() + timedelta(seconds=5)
    bench.run(bench.start(id="second", parameters={"users": 40}))
    assert sorted(m["userId"] for m in messages(bench)) == [user(n) for n in range(1, 41)]


class _LoginPage(BaseHTTPRequestHandler):
    """Sends everybody to a page that says 200 to everything, as a lost session does."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(302)
        self.send_header("Location", "/login")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_DELETE = do_POST  # noqa: N815 - the library's name

    def do_GET(self) -> None:
        content = b'{"recorded": 10, "eligibleUserIds": [], "excludedCount": 0}'
        self.send_response(200 if self.path == "/login" else 302)
        self.send_header("Location", "/login")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def login_page() -> Iterator[str]:
    with running(ThreadingHTTPServer(("127.0.0.1", 0), _LoginPage)) as url:
        yield url


def test_trap_a_redirect_taken_for_success(bench: Bench, login_page: str) -> None:
    bench.change(cadence=CadenceClient(login_page, "t"))

    closed = bench.run(bench.start(id="closed", settings={"failPolicy": "closed"}))
    opened = bench.run(bench.start(id="open"))

    assert closed.phase is Phase.FAILED
    assert "302" in (opened.uncapped_reason or "")
    with bench.database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM send_batches WHERE tracked_at IS NOT NULL")
        assert cursor.fetchone() == (0,), "nothing was remembered there"
    with pytest.raises(WebhookUnavailableError, match="302"):
        AlertWebhook(login_page).post({"text": "Alarm"})


def test_trap_a_scheduler_in_every_web_worker(
    bench: Bench, client: FlaskClient, app: Flask
) -> None:
    create(client, schedule=daily_in(0.01))

    for _ in range(5):
        client.get("/api/health")
        client.get(RECIPES)
    time.sleep(1)

    assert bench.executions() == [], "due, and no engine there"
    assert messages(bench) == []


def test_trap_an_edit_of_a_live_run_that_sends_it_again(bench: Bench, client: FlaskClient) -> None:
    bench.now = utc_now()
    create(client, schedule=daily_in(10), parameters={"users": 40})
    (execution_id,) = tick_files(bench)
    bench.now += timedelta(minutes=10)
    bench.work_until_sent(15)

    new = {"title": "New words", "body": "B", "layerId": 1}
    assert client.put(f"{RECIPES}/news", json={"pushSequence": [new]}).status_code == 200
    tick_files(bench)
    bench.run(execution_id)

    assert [e.id for e in bench.executions()] == [execution_id]
    sent = Counter(m["userId"] for m in messages(bench))
    assert sent == dict.fromkeys([user(n) for n in range(1, 41)], 1)
    assert "New words" not in {m["title"] for m in messages(bench)}


def test_trap_a_cap_that_is_reset_at_midnight(cadence: FlaskClient) -> None:
    late = NOON.replace(hour=23, minute=30)
    track(cadence, 3, late)
    for n in range(3):
        track(cadence, 2, late + timedelta(minutes=n))

    assert ask(cadence, 3, late + timedelta(hours=1)) == []
    assert ask(cadence, 2, late + timedelta(hours=1)) == []
    assert ask(cadence, 2, late + 8 * DAY) == [str(ALICE)]


def test_trap_a_push_over_the_cap_that_comes_weeks_later(bench: Bench) -> None:
    bench.run(bench.start())
    bench.now = NOON + DAY
    held = bench.run(bench.start())

    assert held.phase is Phase.COMPLETED
    assert bench.funnel(held.id)["excluded"] == 10
    bench.now = NOON + 60 * DAY
    bench.work()
    assert len(messages(bench)) == 10, "who was held back is not sent to some other day"
    bench.run(bench.start())
    assert len(messages(bench)) == 20, "and is free again for what comes then"


def test_trap_a_memory_of_one_day(bench: Bench, client: FlaskClient) -> None:
    bench.change(limits=Limits(batch_size=20, push_time_limit=30 * DAY, min_window=timedelta(0)))
    execution_id = bench.start(parameters={"users": 40})
    bench.work_until_sent(15)
    bench.now += 3 * DAY
    bench.run(execution_id)
    assert sorted(m["userId"] for m in messages(bench)) == [user(n) for n in range(1, 41)]

    create(client, id="keyed")
    asked = {"automationId": "keyed"}
    key = {"Idempotency-Key": "k"}
    first = client.post("/api/executions", json=asked, headers=key).get_json()["id"]
    with bench.database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE executions SET created_at = created_at - interval '40 days'")
    again = client.post("/api/executions", json=asked, headers=key).get_json()["id"]
    assert first == again


def test_trap_quiet_hours_at_a_fixed_offset_from_utc(bench: Bench) -> None:
    bench.write_script(ZONES)
    settings = {"quietHours": {"start": "22:00", "end": "08:00"}, "deliverWithinMinutes": 720}

    def held_from(evening: str, name: str) -> str:
        bench.now = datetime.fromisoformat(evening)
        parameters = {"zones": "Europe/Berlin Asia/Tokyo"}
        return bench.start(id=name, parameters=parameters, settings=settings)

    for evening, minute_before, morning in [
        ("2027-03-27T21:30Z", "2027-03-28T05:59Z", "2027-03-28T06:00Z"),  # the clocks go forward
        ("2027-10-30T21:30Z", "2027-10-31T06:59Z", "2027-10-31T07:00Z"),  # and back
    ]:
        execution_id = held_from(evening, f"night-of-{evening[:10]}")
        bench.work()
        bench.now = datetime.fromisoformat(minute_before)
        bench.work()
        states = {d["user_id"].int: d["state"] for d in bench.deliveries(execution_id)}
        assert states == {1: "deferred", 2: "sent"}, "eight o'clock where each of them is"
        bench.now = datetime.fromisoformat(morning)
        bench.work()
        assert bench.funnel(execution_id)["sent"] == 2


def test_trap_one_users_zone_that_is_none_and_stops_all(bench: Bench) -> None:
    bench.write_script(ZONES)
    names = "UTC Mars/Olympus America ../../etc/passwd +25:00 Europe/Berlin"
    settings = {"quietHours": {"start": "22:00", "end": "08:00"}, "localTime": True}

    execution = bench.run(bench.start(parameters={"zones": names}, settings=settings))

    assert execution.phase is Phase.COMPLETED
    states = [d["state"] for d in bench.deliveries(execution.id)]
    assert states == ["sent"] * 6, "a zone that is none is the automation's own"
