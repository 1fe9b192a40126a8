"""Alerts about executions: each destination gets what is raised while it is there, as it was."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
import responses

from chassis.rows import execute, fetch_all, fetch_value
from push_blaster.adapters.automations.automation_document import complete_document
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.adapters.operations.alert_sender import AlertSender
from push_blaster.domain.executions.modes import TEST_MODES, Mode
from push_blaster.domain.operations.alert import USUAL, AlertEvent
from push_blaster.domain.operations.destination import FINDING
from push_blaster.use_cases.executions.stop_execution import cancel_pending, stop_execution
from push_blaster.use_cases.operations.send_notices import hand_over, leave, send_notices
from tests.builders import NOON
from tests.push_blaster.alert_support import HOOK, a_sender, listening
from tests.push_blaster.bench import Bench, an_automation_document

OTHER: Final = "https://hooks.example.com/other"
EVERYTHING: Final = frozenset(AlertEvent)
HOUR: Final = timedelta(hours=1)
KEYS: Final = (b"thirty-two bytes of a secret key", b"and the key from before rotation")


@pytest.fixture
def told() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_passthru("http://127.0.0.1")
        for url in (HOOK, OTHER):
            mock.post(url, status=200)
        yield mock


@pytest.fixture
def everything(bench: Bench) -> AlertSender:
    """An engine whose webhook gets every event of live executions."""
    return listening(bench, a_sender(events=EVERYTHING))


def bodies(told: responses.RequestsMock, url: str = HOOK) -> list[dict[str, Any]]:
    return [json.loads(call.request.body or b"") for call in told.calls if call.request.url == url]


def events(told: responses.RequestsMock, url: str = HOOK) -> list[str]:
    return [body["event"] for body in bodies(told, url)]


def test_a_start_and_a_completion_are_told_once_with_the_funnel(
    bench: Bench, told: responses.RequestsMock, everything: AlertSender
) -> None:
    execution_id = bench.start()
    bench.run(execution_id)

    assert [send_notices(bench.context, everything) for _ in range(2)] == [2, 0]

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
    usual = listening(bench, a_sender())
    bench.write_script("raise SystemExit('the warehouse is closed')")
    safeguards = {"requireTestFirst": False, "emergencyContacts": ["ops@example.org"]}
    bench.run(bench.start(settings={"safeguards": safeguards}))

    send_notices(bench.context, usual)

    (failure,) = bodies(told)
    assert failure["event"] == "failure"
    assert "the warehouse is closed" in failure["text"]
    assert failure["text"].endswith("(ops@example.org)")


def test_a_cancelled_and_a_missed_slot_are_told(bench: Bench, told: responses.RequestsMock) -> None:
    usual = listening(bench, a_sender())
    bench.start()
    cancel_pending(bench.database, "news", "It was paused.", bench.now)
    daily = complete_document(an_automation_document(id="daily"))
    daily["schedule"]["leadTimeMinutes"] = 10
    bench.tick({**daily, "updatedAt": NOON.isoformat()})
    bench.now += timedelta(hours=2)
    bench.tick({**daily, "updatedAt": NOON.isoformat()}, clock=1)

    send_notices(bench.context, usual)

    assert events(told) == ["cancelled", "missed"]
    assert "It was paused." in bodies(told)[0]["text"]


def test_a_webhook_that_is_away_is_asked_again_later(
    bench: Bench, told: responses.RequestsMock, everything: AlertSender
) -> None:
    bench.run(bench.start())
    told.replace(responses.POST, HOOK, status=500)

    assert send_notices(bench.context, everything) == 0
    assert send_notices(bench.context, everything) == 0, "not at once"
    told.replace(responses.POST, HOOK, status=200)
    bench.now += timedelta(minutes=1)

    assert send_notices(bench.context, everything) == 2


def test_tests_are_told_elsewhere(bench: Bench, told: responses.RequestsMock) -> None:
    live = listening(bench, a_sender(events=EVERYTHING))
    tests = listening(bench, a_sender(OTHER, EVERYTHING, TEST_MODES))

    bench.run(bench.start(Mode.REAL_DRY_RUN))

    assert send_notices(bench.context, live) == 0
    assert send_notices(bench.context, tests) == 2
    assert events(told, OTHER) == ["start", "completion"]


def test_findings_and_alerts_arrive_in_the_order_in_which_they_were_raised(
    bench: Bench, told: responses.RequestsMock
) -> None:
    sender = listening(bench, a_sender(events={*USUAL, FINDING}))
    bench.run(bench.start(settings={"maxAudienceSize": 9}))

    assert [send_notices(bench.context, sender) for _ in range(2)] == [2, 0]

    finding, failure = bodies(told)
    assert finding["type"] == "audience_size_exceeded"
    assert failure["event"] == "failure"


# --- nothing from before -----------------------------------------------------------------------


def test_a_webhook_that_is_switched_on_gets_nothing_from_before(
    bench: Bench, told: responses.RequestsMock
) -> None:
    bench.run(bench.start(settings={"maxAudienceSize": 9}))
    bench.now += HOUR

    sender = listening(bench, a_sender(events={*EVERYTHING, FINDING}))
    send_notices(bench.context, sender)
    before = bodies(told)
    bench.run(bench.start(id="later"))
    send_notices(bench.context, sender)

    assert before == []
    assert {body["automationId"] for body in bodies(told)} == {"later"}


def test_another_url_gets_nothing_from_before(
    bench: Bench, told: responses.RequestsMock, everything: AlertSender
) -> None:
    told.replace(responses.POST, HOOK, status=500)
    bench.run(bench.start())
    send_notices(bench.context, everything)
    leave(bench.context, everything)
    bench.now += HOUR

    changed = listening(bench, a_sender(OTHER, EVERYTHING))
    send_notices(bench.context, changed)

    assert bodies(told, OTHER) == []


def test_a_webhook_that_was_off_gets_nothing_of_that_time(
    bench: Bench, told: responses.RequestsMock, everything: AlertSender
) -> None:
    bench.run(bench.start(id="on"))
    send_notices(bench.context, everything)
    leave(bench.context, everything)
    off = listening(bench, AlertSender())
    bench.run(bench.start(id="off"))
    send_notices(bench.context, off)
    bench.now += HOUR

    send_notices(bench.context, listening(bench, everything))

    assert {body["automationId"] for body in bodies(told)} == {"on"}


def test_an_engine_that_was_away_for_an_hour_tells_what_happened_meanwhile(
    bench: Bench, told: responses.RequestsMock, everything: AlertSender
) -> None:
    execution_id = bench.start()
    send_notices(bench.context, everything)
    leave(bench.context, everything)
    stop_execution(bench.database, execution_id, "Nobody was there.", bench.now)
    bench.now += HOUR

    send_notices(bench.context, listening(bench, everything))

    assert events(told) == ["cancelled"]


def test_the_engine_of_another_webhook_leaves_alerts_to_the_engine_that_has_the_setting(
    bench: Bench, told: responses.RequestsMock, everything: AlertSender
) -> None:
    bench.run(bench.start())

    assert send_notices(bench.context, AlertSender()) == 0
    assert send_notices(bench.context, everything) == 2


def test_what_is_a_day_old_is_told_to_nobody(
    bench: Bench, told: responses.RequestsMock, everything: AlertSender
) -> None:
    bench.run(bench.start())
    leave(bench.context, everything)
    bench.now += timedelta(days=2)

    assert send_notices(bench.context, everything) == 0
    assert bodies(told) == []


@pytest.mark.parametrize("is_under_way", [False, True])
def test_a_restored_backup_tells_nothing_again(
    bench: Bench, told: responses.RequestsMock, everything: AlertSender, is_under_way: bool
) -> None:
    bench.run(bench.start())
    if is_under_way:
        hand_over(bench.context, everything)
    with bench.database.transaction() as connection:
        execute(connection, "INSERT INTO restores (restored_at) VALUES (%s)", (bench.now,))
    bench.now += HOUR

    assert send_notices(bench.context, everything) == 0
    bench.run(bench.start(id="after"))
    assert send_notices(bench.context, everything) == 2
    assert {body["automationId"] for body in bodies(told)} == {"after"}


def test_what_an_older_engine_has_sent_is_not_sent_again(
    bench: Bench, told: responses.RequestsMock, everything: AlertSender
) -> None:
    bench.run(bench.start())
    with bench.database.transaction() as connection:
        execute(connection, "UPDATE alerts SET told_at = at, facts = NULL WHERE event = 'start'")
        execute(connection, "UPDATE alerts SET facts = NULL")

    send_notices(bench.context, everything)

    assert events(told) == ["completion"]


def test_a_webhook_that_the_version_before_has_notified_misses_nothing_of_the_upgrade(
    bench: Bench, told: responses.RequestsMock
) -> None:
    bench.run(bench.start())
    with bench.database.transaction() as connection:
        execute(
            connection,
            "INSERT INTO alert_destinations (name, kind, address, events, modes, since,"
            " environment) VALUES ('PUSH_ALERT_WEBHOOK_URL', 'webhook', '', '{}', '{}', %s,"
            " 'PUSH_ALERT_WEBHOOK_URL')",
            (bench.now - HOUR,),
        )  # as the migration does
    bench.now += timedelta(minutes=1)

    send_notices(bench.context, a_sender(events=EVERYTHING))

    assert events(told) == ["start", "completion"]


# --- as it was ---------------------------------------------------------------------------------


def _fail_open(bench: Bench) -> None:
    bench.change(cadence=CadenceClient("http://127.0.0.1:9", "t"))


def _close_warehouse(bench: Bench) -> None:
    bench.write_script("raise SystemExit('the warehouse is closed')")


@pytest.mark.parametrize(
    ("event", "prepare", "reason"),
    [
        ("start", _close_warehouse, None),
        ("start", _fail_open, None),
        ("fail_open", _fail_open, "did not answer"),
        ("failure", _close_warehouse, "the warehouse is closed"),
    ],
)
def test_an_alert_that_is_late_tells_what_was_true_when_it_was_raised(
    bench: Bench,
    told: responses.RequestsMock,
    everything: AlertSender,
    event: str,
    prepare: Callable[[Bench], None],
    reason: str | None,
) -> None:
    prepare(bench)
    bench.run(bench.start())
    _change_everything(bench)
    bench.now += HOUR

    send_notices(bench.context, everything)

    (alert,) = [body for body in bodies(told) if body["event"] == event]
    assert alert["automationName"] == "News"
    assert "News" in alert["text"]
    assert (reason is None) == (alert["reason"] is None)
    assert (reason or "") in (alert["reason"] or "")
    assert (reason or "") in alert["text"]
    assert "What came later" not in json.dumps(alert)
    assert (event == "failure") or alert["funnels"] == []


def test_a_finding_that_is_late_names_the_automation_as_it_was(
    bench: Bench, told: responses.RequestsMock
) -> None:
    sender = listening(bench, a_sender(events={FINDING}))
    bench.run(bench.start(settings={"maxAudienceSize": 9}))
    _change_everything(bench)

    send_notices(bench.context, sender)

    (finding,) = bodies(told)
    assert finding["automationName"] == "News"
    assert "What came later" not in json.dumps(finding)


def test_a_stop_is_told_with_the_reason_that_it_had(
    bench: Bench, told: responses.RequestsMock, everything: AlertSender
) -> None:
    stop_execution(bench.database, bench.start(), "Wrong text.", bench.now)
    _change_everything(bench)

    send_notices(bench.context, everything)

    (cancelled,) = bodies(told)
    assert "Wrong text." in cancelled["reason"]
    assert "What came later" not in json.dumps(cancelled)


def _change_everything(bench: Bench) -> None:
    """Let executions be something else, as after they were opened again with another document."""
    with bench.database.transaction() as connection:
        execute(
            connection,
            "UPDATE executions SET reason = 'What came later', uncapped_reason = 'What came later',"
            " automation_name = 'What came later', snapshot = jsonb_set(snapshot,"
            " '{settings,safeguards,emergencyContacts}', '[\"What came later\"]')",
        )


# --- links, and who sent it --------------------------------------------------------------------


def test_an_alert_leads_to_its_execution_and_its_automation(
    bench: Bench, told: responses.RequestsMock
) -> None:
    public = "https://push.example.com/pages/"
    sender = listening(bench, a_sender(events=EVERYTHING, public_url=public))
    execution_id = bench.start()
    bench.run(execution_id)

    send_notices(bench.context, sender)

    for alert in bodies(told):
        assert alert["executionUrl"] == f"{public}executions/{execution_id}"
        assert alert["automationUrl"] == f"{public}automations/news"
        assert alert["text"].endswith(f" {public}executions/{execution_id}")


def test_without_the_address_of_the_pages_an_alert_has_no_link(
    bench: Bench, told: responses.RequestsMock, everything: AlertSender
) -> None:
    bench.run(bench.start())

    send_notices(bench.context, everything)

    assert {body["executionUrl"] for body in bodies(told)} == {None}


def test_every_try_of_an_alert_is_signed_and_has_the_same_id(
    bench: Bench, told: responses.RequestsMock
) -> None:
    sender = listening(bench, a_sender(events={AlertEvent.COMPLETION}, keys=KEYS))
    bench.run(bench.start())
    told.replace(responses.POST, HOOK, status=500)
    send_notices(bench.context, sender)
    told.replace(responses.POST, HOOK, status=200)
    bench.now += HOUR

    send_notices(bench.context, sender)

    first, second = [call.request for call in told.calls if call.request.url == HOOK]
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    for request in (first, second):
        at = request.headers["webhook-timestamp"]
        body = request.body if isinstance(request.body, bytes) else b""
        signed = f"{request.headers['webhook-id']}.{at}.".encode() + body
        digests = [hmac.new(key, signed, hashlib.sha256).digest() for key in KEYS]
        assert request.headers["webhook-signature"].split() == [
            f"v1,{base64.b64encode(digest).decode()}" for digest in digests
        ]


def test_a_hundred_alerts_of_a_webhook_that_is_away_are_not_all_tried_each_time(
    bench: Bench, told: responses.RequestsMock, everything: AlertSender
) -> None:
    for n in range(20):
        cancel_pending(
            bench.database,
            bench.execution(bench.start(id=f"a{n}")).automation.id,
            "Away.",
            bench.now,
        )
    told.replace(responses.POST, HOOK, status=503)

    send_notices(bench.context, everything)

    assert len(bodies(told)) == 1
    assert _next_tries(bench)[0] > bench.now


def _next_tries(bench: Bench) -> list[datetime]:
    sql = "SELECT next_at FROM alert_deliveries WHERE tries > 0 ORDER BY next_at"
    with bench.database.transaction() as connection:
        return [at for (at,) in fetch_all(connection, sql)]


def test_the_database_knows_no_url_of_the_settings(bench: Bench, everything: AlertSender) -> None:
    with bench.database.transaction() as connection:
        text = fetch_value(connection, "SELECT string_agg(d::text, ' ') FROM alert_destinations d")

    assert "https://hooks.example.com/…" in text
    assert HOOK not in text
