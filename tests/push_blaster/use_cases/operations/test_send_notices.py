"""Notices about executions: each event once, and repeated until the webhook has taken it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import responses

from push_blaster.adapters.automations.automation_document import complete_document
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.adapters.operations.alert_webhook import AlertWebhook
from push_blaster.domain.executions.modes import TEST_MODES, Mode
from push_blaster.domain.operations.alert import USUAL, AlertEvent
from push_blaster.use_cases.executions.stop_execution import cancel_pending
from push_blaster.use_cases.operations.send_notices import Channel, send_notices
from tests.builders import NOON
from tests.push_blaster.bench import Bench, an_automation_document

URL = "https://hooks.example.com/alerts"
EVERYTHING = Channel(AlertWebhook(URL), frozenset(AlertEvent), {Mode.LIVE})


@pytest.fixture
def told() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_passthru("http://127.0.0.1")
        mock.post(URL, status=200)
        yield mock


def bodies(told: responses.RequestsMock) -> list[dict[str, Any]]:
    return [json.loads(call.request.body or b"") for call in told.calls if call.request.url == URL]


def test_a_start_and_a_completion_are_told_once_with_the_funnel(
    bench: Bench, told: responses.RequestsMock
) -> None:
    execution_id = bench.start()
    bench.run(execution_id)

    assert [send_notices(bench.context, EVERYTHING) for _ in range(2)] == [2, 0]

    start, completion = bodies(told)
    assert start["alertId"] == f"{execution_id}/start"
    assert completion["text"].startswith("COMPLETION News, 2026-")
    assert completion["text"].endswith(
        "Push 1: 10 generated, 10 valid, 10 distinct, 10 eligible, 10 with a device, 10 sent, "
        "0 refused by the provider, 0 in doubt (outcome unknown)."
    )


def test_a_failure_is_told_with_its_reason_and_whom_to_call(
    bench: Bench, told: responses.RequestsMock
) -> None:
    bench.write_script("raise SystemExit('the warehouse is closed')")
    safeguards = {"requireTestFirst": False, "emergencyContacts": ["ops@example.org"]}
    bench.run(bench.start(settings={"safeguards": safeguards}))

    send_notices(bench.context, replace(EVERYTHING, events=USUAL))

    (failure,) = bodies(told)
    assert failure["event"] == "failure"
    assert "the warehouse is closed" in failure["text"]
    assert failure["text"].endswith("(ops@example.org)")


def test_a_send_without_its_cap_check_is_told_while_it_goes_out(
    bench: Bench, told: responses.RequestsMock
) -> None:
    bench.change(cadence=CadenceClient("http://127.0.0.1:9", "t"))
    bench.run(bench.start())

    send_notices(bench.context, replace(EVERYTHING, events=USUAL))

    (alert,) = bodies(told)
    assert alert["text"].startswith("FAIL OPEN News")
    assert "did not answer" in alert["text"]


def test_a_cancelled_and_a_missed_slot_are_told(bench: Bench, told: responses.RequestsMock) -> None:
    bench.start()
    cancel_pending(bench.database, "news", "It was paused.", bench.now)
    daily = complete_document(an_automation_document(id="daily"))
    daily["schedule"]["leadTimeMinutes"] = 10
    bench.tick({**daily, "updatedAt": NOON.isoformat()})
    bench.now += timedelta(hours=2)
    bench.tick({**daily, "updatedAt": NOON.isoformat()}, clock=1)

    send_notices(bench.context, replace(EVERYTHING, events=USUAL))

    assert [alert["event"] for alert in bodies(told)] == ["cancelled", "missed"]
    assert "It was paused." in bodies(told)[0]["text"]


def test_a_webhook_that_is_away_is_asked_again_later(
    bench: Bench, told: responses.RequestsMock
) -> None:
    bench.run(bench.start())
    told.replace(responses.POST, URL, status=500)

    assert send_notices(bench.context, EVERYTHING) == 0
    assert send_notices(bench.context, EVERYTHING) == 0, "not at once"
    told.replace(responses.POST, URL, status=200)
    bench.now += timedelta(minutes=1)

    assert send_notices(bench.context, EVERYTHING) == 2


def test_tests_are_told_elsewhere_and_what_is_old_is_told_to_nobody(
    bench: Bench, told: responses.RequestsMock
) -> None:
    bench.run(bench.start(Mode.REAL_DRY_RUN))

    assert send_notices(bench.context, EVERYTHING) == 0
    assert send_notices(bench.context, replace(EVERYTHING, modes=TEST_MODES)) == 2

    bench.run(bench.start())
    bench.now += timedelta(days=2)
    assert send_notices(bench.context, EVERYTHING) == 0


def test_one_reader_sends_findings_and_alerts_and_each_once(
    bench: Bench, told: responses.RequestsMock
) -> None:
    channel = replace(EVERYTHING, events=USUAL, with_violations=True)
    bench.run(bench.start(settings={"maxAudienceSize": 9}))

    assert [send_notices(bench.context, channel) for _ in range(2)] == [2, 0]

    finding, failure = bodies(told)
    assert finding["type"] == "audience_size_exceeded"
    assert failure["event"] == "failure"


def test_findings_stay_for_the_channel_that_takes_them(
    bench: Bench, told: responses.RequestsMock
) -> None:
    bench.run(bench.start(settings={"maxAudienceSize": 9}))

    elsewhere = replace(EVERYTHING, modes=TEST_MODES)

    assert send_notices(bench.context, elsewhere) == 0
    assert send_notices(bench.context, replace(elsewhere, with_violations=True)) == 1
    (finding,) = bodies(told)
    assert finding["severity"] == "critical"
