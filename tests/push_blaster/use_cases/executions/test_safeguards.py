"""Safeguards on the path that sends: sizes, failures, time, window, drift, approval, contacts."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import responses

from push_blaster.adapters.operations.alert_deliveries import MAX_TRIES
from push_blaster.adapters.transports.file_transport import FileTransport
from push_blaster.domain.executions.approval import Approval, Hashes
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.executions.advance_execution import advance_execution
from push_blaster.use_cases.executions.approve_execution import (
    CannotApproveError,
    approve_execution,
)
from push_blaster.use_cases.operations.send_notices import send_notices
from tests.builders import NOON
from tests.cadence_service.settings import CADENCE_TOKEN
from tests.push_blaster.alert_support import listening_for_findings
from tests.push_blaster.bench import Bench, messages, violations
from tests.push_blaster.cadence_support import AWAY
from tests.scripts import a_script

MINUTE = timedelta(minutes=1)
URL = "https://hooks.example.com/alerts"


def a_threshold(**values: object) -> dict[str, Any]:
    return {"safeguards": {"requireTestFirst": False, "alertThresholds": values}}


# --- sizes, failures, time ---------------------------------------------------------------------


def test_an_audience_over_the_limit_is_a_violation_and_sends_nothing(bench: Bench) -> None:
    execution = bench.run(bench.start(settings={"maxAudienceSize": 9}))

    assert execution.phase is Phase.FAILED
    assert violations(bench) == [("audience_size_exceeded", "critical")]
    assert messages(bench) == []


def test_an_empty_audience_is_a_violation(bench: Bench) -> None:
    bench.write_script(a_script())

    assert bench.run(bench.start()).phase is Phase.FAILED
    assert violations(bench) == [("audience_empty", "critical")]


def test_an_audience_over_the_alert_threshold_is_told_and_sent(bench: Bench) -> None:
    execution = bench.run(bench.start(settings=a_threshold(audienceSize=9)))

    assert execution.phase is Phase.COMPLETED
    assert violations(bench) == [("audience_size_exceeded", "warning")]
    assert "Push 1 has an audience of 10, more than the 9" in bench.log(execution.id)


def test_a_failure_rate_stops_the_send(bench: Bench) -> None:
    bench.change(transport=FileTransport(Path("/dev/full")))

    execution = bench.run(
        bench.start(parameters={"users": 400}, settings=a_threshold(failureRate=0.1))
    )

    assert execution.phase is Phase.FAILED
    assert "failureRate" in (execution.reason or "")
    funnel = bench.funnel(execution.id)
    assert 50 <= funnel["failed"] < 100
    assert funnel["notSent"] == 400 - funnel["failed"]
    assert violations(bench) == [("failure_rate_exceeded", "critical")]


def test_a_push_that_takes_too_long_is_stopped(bench: Bench) -> None:
    bench.change(limits=replace(bench.context.limits, push_time_limit=10 * MINUTE))
    execution_id = bench.start(parameters={"users": 100})
    bench.work_until_sent(30)
    bench.now += 11 * MINUTE
    bench.is_shutting_down = lambda: bench.execution(execution_id).has_ended

    advance_execution(bench.context, execution_id)

    assert bench.execution(execution_id).phase is Phase.FAILED
    assert violations(bench) == [("execution_timeout", "critical")]
    bench.is_shutting_down = lambda: False
    bench.work()
    assert len(messages(bench)) < 100


@pytest.mark.parametrize("jump", [3 * 60 * MINUTE, -60 * MINUTE])
def test_a_clock_that_jumps_in_mid_send_is_no_long_send(bench: Bench, jump: timedelta) -> None:
    bench.change(limits=replace(bench.context.limits, push_time_limit=10 * MINUTE))
    execution_id = bench.start(parameters={"users": 100})
    bench.work_until_sent(30)
    bench.now += jump + MINUTE
    bench.change(shift=lambda at: at + jump)

    ended = bench.run(execution_id)

    assert ended.phase is Phase.COMPLETED
    assert len(messages(bench)) == 100
    assert violations(bench) == []


def test_a_send_that_takes_too_long_is_stopped_although_the_clock_was_set_back(
    bench: Bench,
) -> None:
    bench.change(limits=replace(bench.context.limits, push_time_limit=10 * MINUTE))
    execution_id = bench.start(parameters={"users": 100})
    bench.work_until_sent(30)
    bench.now += MINUTE
    bench.change(shift=lambda at: at - 60 * MINUTE)
    bench.is_shutting_down = lambda: bench.execution(execution_id).has_ended

    advance_execution(bench.context, execution_id)

    assert violations(bench) == [("execution_timeout", "critical")]


def test_no_window_is_shorter_than_the_least_one(bench: Bench) -> None:
    bench.change(limits=replace(bench.context.limits, min_window=5 * MINUTE))
    execution_id = bench.start(settings={"cancellationWindowMinutes": 1})
    bench.work()

    assert bench.execution(execution_id).live_at == NOON + 5 * MINUTE
    assert "PUSH_MIN_CANCELLATION_WINDOW_SECONDS" in bench.log(execution_id)


# --- drift -------------------------------------------------------------------------------------


def drifting(**drift: object) -> dict[str, Any]:
    return {"safeguards": {"requireTestFirst": False, "drift": drift}}


def run_with(bench: Bench, first: int, users: int, **drift: object) -> str:
    bench.now += timedelta(days=30)
    execution_id = bench.start(
        parameters={"first": first, "users": users},
        settings=drifting(**drift),
        pushes=[{"layerId": 1}],
    )
    bench.run(execution_id)
    return execution_id


def test_an_audience_of_an_unusual_size_waits_for_approval(bench: Bench) -> None:
    bench.change(limits=replace(bench.context.limits, batch_size=1_000))
    for _ in range(2):
        assert bench.execution(run_with(bench, 1, 400)).phase is Phase.COMPLETED

    execution = bench.execution(run_with(bench, 1, 1_300))

    assert execution.phase is Phase.SKIPPED
    assert "has 1300 users, and usually about 400" in (execution.reason or "")
    assert violations(bench) == [("audience_drift", "warning")]


def test_an_audience_of_other_people_waits_for_approval_where_that_is_asked(bench: Bench) -> None:
    run_with(bench, 1, 10)
    assert bench.execution(run_with(bench, 6, 10, leastOverlap=0.5)).phase is Phase.COMPLETED

    execution = bench.execution(run_with(bench, 12, 10, leastOverlap=0.5))

    assert execution.phase is Phase.SKIPPED
    assert "shares 40% of its users" in (execution.reason or "")


# --- approval ----------------------------------------------------------------------------------


APPROVED = {"requireApproval": True, "cancellationWindowMinutes": 10}


def approve(bench: Bench, execution_id: str, content: str = "", audience: str = "") -> None:
    approval = Approval("Olga", bench.now, Hashes(content, audience))
    approve_execution(bench.database, bench.context.cadence, execution_id, approval)


def in_window(bench: Bench, **changes: Any) -> str:
    execution_id = bench.start(settings=APPROVED, **changes)
    bench.work()
    assert bench.execution(execution_id).phase is Phase.CANCELLATION_WINDOW
    return execution_id


def test_what_nobody_approved_does_not_go_live(bench: Bench) -> None:
    execution = bench.run(in_window(bench))

    assert execution.phase is Phase.SKIPPED
    assert "Nobody approved it during its window." in (execution.reason or "")
    assert messages(bench) == []


def test_what_was_approved_goes_live_at_its_time_and_not_before(bench: Bench) -> None:
    execution_id = in_window(bench)
    approve(bench, execution_id)
    bench.work()
    assert messages(bench) == []

    assert bench.run(execution_id).phase is Phase.COMPLETED
    assert bench.now >= NOON + 10 * MINUTE
    assert "Approved by Olga." in bench.log(execution_id)


def test_a_change_of_the_rules_voids_an_approval(bench: Bench, cadence_service: str) -> None:
    execution_id = in_window(bench)
    approve(bench, execution_id)
    changed = requests.put(
        f"{cadence_service}/rules/layer_3_cooldown_hours",
        json={
            "appliesToLayers": [3],
            "countedLayers": [3],
            "windowHours": 1,
            "maxCount": 1,
        },
        headers={"Authorization": f"Bearer {CADENCE_TOKEN}"},
        timeout=10,
    )
    assert changed.ok, changed.text

    execution = bench.run(execution_id)

    assert execution.phase is Phase.SKIPPED
    assert "The approval is void: the cadence rules changed" in (execution.reason or "")


@pytest.mark.parametrize(("policy", "phase"), [("open", Phase.COMPLETED), ("closed", Phase.FAILED)])
def test_rules_that_cannot_be_read_at_go_live_follow_the_fail_policy(
    bench: Bench, policy: str, phase: Phase
) -> None:
    execution_id = bench.start(settings={**APPROVED, "failPolicy": policy})
    bench.work()
    approve(bench, execution_id)
    bench.change(cadence=AWAY)

    assert bench.run(execution_id).phase is phase


def test_an_approval_is_of_what_was_looked_at(bench: Bench) -> None:
    execution_id = in_window(bench)

    for seen in ({"content": "other"}, {"audience": "other"}):
        with pytest.raises(CannotApproveError, match="has changed since it was looked at"):
            approve(bench, execution_id, **seen)

    assert bench.run(execution_id).phase is Phase.SKIPPED


def test_only_an_open_window_can_be_approved(bench: Bench) -> None:
    execution_id = bench.start(settings=APPROVED)
    with pytest.raises(CannotApproveError, match="waiting"):
        approve(bench, execution_id)
    bench.run(execution_id)
    with pytest.raises(CannotApproveError, match="skipped"):
        approve(bench, execution_id)


def test_a_large_audience_is_forced_to_wait_for_approval(bench: Bench) -> None:
    bench.change(limits=replace(bench.context.limits, approval_above=9))

    execution = bench.run(bench.start())

    assert execution.phase is Phase.SKIPPED
    assert "over 9 (PUSH_APPROVAL_ABOVE_USERS)" in (execution.reason or "")


def test_a_dry_run_waits_for_nobodys_approval(bench: Bench) -> None:
    execution = bench.run(bench.start(Mode.REAL_DRY_RUN, settings=APPROVED))

    assert execution.phase is Phase.COMPLETED


# --- the contacts ------------------------------------------------------------------------------


def a_violation(bench: Bench) -> None:
    safeguards = {"requireTestFirst": False, "emergencyContacts": ["ops@example.org"]}
    bench.run(bench.start(settings={"maxAudienceSize": 9, "safeguards": safeguards}))


@responses.activate(assert_all_requests_are_fired=True)
def test_the_contacts_are_told_once(bench: Bench) -> None:
    responses.add_passthru("http://127.0.0.1")
    told = responses.post(URL, status=200)
    contacts = listening_for_findings(bench)
    a_violation(bench)

    counts = [send_notices(bench.context, contacts) for _ in range(2)]

    assert counts == [1, 0]
    body = told.calls[0].request.body
    assert b'"type":"audience_size_exceeded"' in bytes(body or b"")
    assert b"CRITICAL News: " in bytes(body or b"")
    assert b"(ops@example.org)" in bytes(body or b"")


@responses.activate
@pytest.mark.parametrize(
    "answer",
    [
        {"status": 500},
        {"status": 302, "headers": {"Location": "https://hooks.example.com/login"}},
        {"body": requests.ConnectTimeout()},
    ],
    ids=["500", "a redirect is no success", "timeout"],
)
def test_a_webhook_that_does_not_take_it_is_asked_again_later(
    bench: Bench, answer: dict[str, Any]
) -> None:
    responses.add_passthru("http://127.0.0.1")
    responses.post(URL, **answer)
    contacts = listening_for_findings(bench)
    a_violation(bench)

    assert send_notices(bench.context, contacts) == 0
    assert send_notices(bench.context, contacts) == 0, "not at once"
    assert len(responses.calls) == 1
    bench.now += MINUTE
    responses.replace(responses.POST, URL, status=204)
    assert send_notices(bench.context, contacts) == 1


@responses.activate
def test_a_webhook_that_is_gone_is_given_up(bench: Bench) -> None:
    responses.add_passthru("http://127.0.0.1")
    responses.post(URL, status=410)
    contacts = listening_for_findings(bench)
    a_violation(bench)

    for _ in range(MAX_TRIES + 5):
        send_notices(bench.context, contacts)
        bench.now += timedelta(hours=1)

    assert len(responses.calls) == MAX_TRIES
