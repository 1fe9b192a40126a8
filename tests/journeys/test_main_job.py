"""The main job on the real processes: from a slot coming due to the history in PostgreSQL."""

import json
from collections.abc import Iterator
from datetime import datetime

import psutil
import pytest
import requests

from local_stack.embedded_postgres import EmbeddedPostgres
from tests.journeys.stack import (
    OPERATOR,
    TOKEN,
    VIEWER,
    Stack,
    a_journey_automation,
    due_in,
    running_stack,
    user,
    wait_until,
)

ENDED = ("completed", "failed", "cancelled", "missed", "skipped")


@pytest.fixture(scope="module")
def stack(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("main job") / "data"
    settings = {"PUSH_SCRIPT_TIMEOUT_SECONDS": "8"}
    with running_stack(postgres, folder, settings, engines=2) as running:
        yield running


def test_a_slot_comes_due_and_the_right_users_are_sent_to(stack: Stack) -> None:
    schedule, at = due_in(3)
    cadence = {"Authorization": "Bearer journey-cadence-token"}
    yesterday = {
        "userId": user(1001),
        "layerId": 3,
        "pushTitle": "Before",
        "pushBody": "Before",
        "audienceDescription": "Before",
        "idempotencyKey": "before",
    }
    tracked = requests.post(
        f"{stack.cadence_url}/track-notification", json=yesterday, headers=cadence, timeout=10
    )
    assert tracked.json()["recorded"] == 1
    stack.ask("POST", "/api/devices", {"userId": user(9999), "token": "tester"})

    automation = a_journey_automation(
        "slot",
        status="active",
        isActive=True,
        schedule=schedule,
        parameters={"first": 1001, "users": 40, "audiences": "one two"},
        pushes=[{"audienceName": "one"}, {"audienceName": "two", "layerId": 2}],
        settings={
            "testUserIds": [user(9999)],
            "dryRunFirst": True,
            "safeguards": {"requireTestFirst": True},
        },
    )
    stack.ask("POST", "/api/automation/recipes", automation)
    execution_id = f"slot@{at:%Y%m%dT%H%M%SZ}"
    wait_until(lambda: stack.executions("slot"), bool, 10)
    execution = stack.wait_for(execution_id, ENDED)

    assert execution["phase"] == "completed", stack.log(execution_id)
    assert [phase["phase"] for phase in execution["phases"]] == [
        "waiting",
        "audience_generation",
        "test_sending",
        "cancellation_window",
        "live_execution",
        "completed",
    ]
    live = next(p["at"] for p in execution["phases"] if p["phase"] == "live_execution")
    assert datetime.fromisoformat(live) >= at
    first, second = (push["funnel"] for push in execution["pushes"])
    assert (first["generated"], first["eligible"], first["sent"]) == (40, 39, 39)
    assert first["exclusionBreakdown"] == {"layer_3_cooldown_hours": 1}
    assert (second["eligible"], second["sent"]) == (40, 40)
    sent = [m for m in stack.messages() if m["title"].startswith("Hi Name 10")]
    assert {m["userId"] for m in sent if m["userId"] == user(9999)} == {user(9999)}
    assert sorted(m["userId"] for m in sent if m["userId"] != user(9999)) == sorted(
        [user(n) for n in range(1002, 1041)] + [user(n) for n in range(1001, 1041)]
    )
    assert all(datetime.fromisoformat(m["sentAt"]) >= at for m in sent if m["userId"] != user(9999))
    counted = stack.history(
        "SELECT layer_id, count(*), count(DISTINCT user_id), min(sent_at) = max(sent_at)"
        " FROM user_notifications WHERE user_id BETWEEN %s AND %s AND actually_sent_at >= %s"
        " GROUP BY layer_id ORDER BY layer_id",
        user(1001),
        user(1040),
        at,
    )
    assert counted == [(2, 40, 40, True), (3, 39, 39, True)]
    deliveries = stack.ask("GET", f"/api/executions/{execution_id}/deliveries?limit=5000")
    held = [d for d in deliveries["deliveries"] if d["state"] == "held_back"]
    assert [(d["userId"], d["reason"]) for d in held] == [(user(1001), "layer_3_cooldown_hours")]


def test_what_it_writes_about_users_is_readable_for_its_user_only(stack: Stack) -> None:
    folders = ("executions", "journal", "sent", "trials", "uploads")
    written = [path for name in folders for path in (stack.folder / name).rglob("*")]

    open_ones = [path for path in written if path.stat().st_mode & 0o077]

    assert {path.suffix for path in written} >= {".csv", ".jsonl"}, "CSVs and frozen audiences"
    assert open_ones == []


def test_what_was_sent_once_is_held_back_the_second_time(stack: Stack) -> None:
    stack.ask(
        "POST",
        "/api/automation/recipes",
        a_journey_automation("twice", parameters={"first": 2001, "users": 30}),
    )

    funnels = []
    for _ in range(2):
        started = stack.ask("POST", "/api/executions", {"automationId": "twice"})
        execution = stack.wait_for(started["id"], ENDED)
        assert execution["phase"] == "completed"
        funnels.append(execution["pushes"][0]["funnel"])

    assert [funnel["sent"] for funnel in funnels] == [30, 0]
    assert funnels[1]["exclusionBreakdown"] == {"layer_3_cooldown_hours": 30}


def test_two_engines_and_three_web_workers_make_one_execution_of_a_slot(stack: Stack) -> None:
    schedule, at = due_in(4)
    ids = [f"crowd-{n}" for n in range(8)]
    for n, automation_id in enumerate(ids):
        stack.ask(
            "POST",
            "/api/automation/recipes",
            a_journey_automation(
                automation_id,
                status="active",
                isActive=True,
                schedule=schedule,
                parameters={"first": 3001 + 10 * n, "users": 10},
            ),
        )

    for automation_id in ids:
        stack.wait_for(f"{automation_id}@{at:%Y%m%dT%H%M%SZ}", ENDED)

    assert [len(stack.executions(automation_id)) for automation_id in ids] == [1] * 8
    sent = [m["userId"] for m in stack.messages()]
    assert sorted(u for u in sent if user(3001) <= u <= user(3080)) == [
        user(n) for n in range(3001, 3081)
    ]


@pytest.mark.parametrize(
    ("phase", "parameters", "window"),
    [
        ("audience_generation", {"sleep": 7}, 1),
        ("cancellation_window", {}, 1),
        ("live_execution", {"users": 3000}, 0),
    ],
)
def test_a_stop_takes_effect_in_every_phase(
    stack: Stack, phase: str, parameters: dict[str, int], window: float
) -> None:
    automation_id = f"stop-{phase.replace('_', '-')}"
    stack.ask(
        "POST",
        "/api/automation/recipes",
        a_journey_automation(
            automation_id,
            pushes=[{"layerId": 1}],
            parameters={"first": 100_001, **parameters},
            settings={"cancellationWindowMinutes": window},
        ),
    )
    started = stack.ask("POST", "/api/executions", {"automationId": automation_id})
    stack.wait_for(started["id"], [phase])
    if phase == "live_execution":
        wait_until(lambda: stack.execution(started["id"])["pushes"][0]["funnel"]["sent"], bool, 20)

    receipt = stack.ask("POST", f"/api/executions/{started['id']}/stop", {"reason": "Wrong text"})
    at_stop = len(stack.messages())

    assert receipt["execution"]["phase"] == "cancelled"
    assert receipt["execution"]["reason"] == "Wrong text"
    assert receipt["inFlight"] == 0
    assert stack.wait_for(started["id"], ENDED)["phase"] == "cancelled"
    wait_until(lambda: _running_scripts(stack), lambda scripts: not scripts, 2)
    assert len(stack.messages()) == at_stop
    if phase == "live_execution":
        funnel = stack.execution(started["id"])["pushes"][0]["funnel"]
        assert receipt["sent"] == funnel["sent"] > 0
        assert receipt["sent"] + receipt["inDoubt"] + receipt["notSent"] == 3000


def test_a_killed_test_ends_its_script_with_all_that_it_started(stack: Stack) -> None:
    child = "[sys.executable, '-c', 'import time; time.sleep(60)', __file__]"
    sleeper = f"import subprocess, sys\nsubprocess.run({child})"
    (stack.folder / "scripts" / "sleeper.py").write_text(sleeper)
    automation = a_journey_automation("killed")
    automation["audienceCriteria"]["customScript"]["scriptId"] = "sleeper"
    stack.ask("POST", "/api/automation/recipes", automation)
    mode = {"mode": "real-dry-run"}
    started = stack.ask("POST", "/api/automation/test/killed", mode)["executionId"]
    # The launcher, the script, and what the script started.
    wait_until(lambda: _running_scripts(stack), lambda scripts: len(scripts) == 3, 20)

    killed = stack.ask("POST", "/api/automation/test/killed/kill", mode)

    assert killed["success"] is True
    wait_until(lambda: _running_scripts(stack), lambda scripts: not scripts, 2)
    assert stack.wait_for(started, ENDED)["phase"] == "cancelled"


def test_a_cancel_in_the_window_sends_nothing_and_a_live_one_refuses_it(stack: Stack) -> None:
    automation = a_journey_automation(
        "cancelled", parameters={"first": 200_001}, settings={"cancellationWindowMinutes": 1}
    )
    stack.ask("POST", "/api/automation/recipes", automation)
    started = stack.ask("POST", "/api/executions", {"automationId": "cancelled"})
    stack.wait_for(started["id"], ["cancellation_window"])

    receipt = stack.ask("POST", f"/api/executions/{started['id']}/cancel")
    again = stack.ask("POST", f"/api/executions/{started['id']}/cancel")

    assert receipt["execution"]["phase"] == again["execution"]["phase"] == "cancelled"
    assert (receipt["sent"], receipt["notSent"]) == (0, 50)
    assert not [m for m in stack.messages() if m["userId"] == user(200_001)]


def test_switching_an_automation_off_cancels_what_is_pending(stack: Stack) -> None:
    schedule, at = due_in(60)
    automation = a_journey_automation(
        "off",
        status="active",
        isActive=True,
        schedule=schedule,
        parameters={"first": 210_001},
    )
    stack.ask("POST", "/api/automation/recipes", automation)
    execution_id = f"off@{at:%Y%m%dT%H%M%SZ}"
    wait_until(lambda: stack.executions("off"), bool, 10)

    answer = stack.ask("PUT", "/api/automation/recipes/off", {"isActive": False})

    assert answer["cancelledExecutions"] == [execution_id]
    assert stack.execution(execution_id)["phase"] == "cancelled"


def test_switching_it_off_in_its_file_cancels_what_is_pending(stack: Stack) -> None:
    schedule, at = due_in(600)
    automation = a_journey_automation("by-file", status="active", isActive=True, schedule=schedule)
    stack.ask("POST", "/api/automation/recipes", automation)
    execution_id = f"by-file@{at:%Y%m%dT%H%M%SZ}"
    wait_until(lambda: stack.executions("by-file"), bool, 10)

    file = stack.folder / "automations" / "by-file.json"
    written = file.with_suffix(".new")
    written.write_text(json.dumps({**json.loads(file.read_text()), "isActive": False}))
    written.rename(file)

    execution = stack.wait_for(execution_id, ("cancelled",), limit_s=30)
    assert "switched off in its file" in execution["reason"]


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("fails", "raise ValueError('no such table')", "ValueError: no such table"),
        ("silent", "pass", "was not written by this run of the script. It wrote: no CSV file"),
        (
            "ambiguous",
            "import os\nfor n in ('a', 'a_20250101_101010'):\n"
            "    open(os.environ['OUTPUT_PATH'] + f'/{n}.csv', 'w').write('user_id\\n')",
            "is ambiguous: a.csv, a_20250101_101010.csv",
        ),
        (
            "empty",
            "import os\nopen(os.environ['OUTPUT_PATH'] + '/a.csv', 'w').write('user_id\\n')",
            "a.csv has a header and no row",
        ),
        ("hangs", "import time\ntime.sleep(60)", "did not end within 8 s"),
        (
            "unknown-column",
            "import os\nopen(os.environ['OUTPUT_PATH'] + '/a.csv', 'w').write("
            "'user_id,name\\n00000000-0000-0000-0000-000000000001,A\\n')",
            "uses [[var:first_name]], and its audience has no such column. Its columns: name",
        ),
    ],
)
def test_a_script_that_goes_wrong_ends_the_execution_with_its_reason(
    stack: Stack, name: str, source: str, expected: str
) -> None:
    script = f"bad_{name.replace('-', '_')}"
    (stack.folder / "scripts" / f"{script}.py").write_text(source)
    automation = a_journey_automation(f"bad-{name}")
    automation["audienceCriteria"]["customScript"] = {"scriptId": script}
    stack.ask("POST", "/api/automation/recipes", automation)

    started = stack.ask("POST", "/api/executions", {"automationId": f"bad-{name}"})
    execution = stack.wait_for(started["id"], ENDED)

    assert execution["phase"] == "failed"
    assert expected in execution["reason"]
    assert expected in "\n".join(stack.log(started["id"]))
    assert execution["pushes"][0]["status"] == "failed"


def test_a_test_that_is_required_and_reaches_nobody_fails_before_the_window(stack: Stack) -> None:
    automation = a_journey_automation(
        "untested",
        parameters={"first": 220_001},
        settings={"safeguards": {"requireTestFirst": True}},
    )
    stack.ask("POST", "/api/automation/recipes", automation)

    started = stack.ask("POST", "/api/executions", {"automationId": "untested"})
    execution = stack.wait_for(started["id"], ENDED)

    assert execution["phase"] == "failed"
    assert "no test user is named here or by the script" in execution["reason"]
    assert "cancellation_window" not in [phase["phase"] for phase in execution["phases"]]
    assert not [m for m in stack.messages() if m["userId"] == user(220_001)]


def test_the_same_idempotency_key_starts_once(stack: Stack) -> None:
    stack.ask(
        "POST",
        "/api/automation/recipes",
        a_journey_automation("keyed", parameters={"first": 230_001}),
    )
    headers = {"Authorization": f"Bearer {OPERATOR}", "Idempotency-Key": "start-1"}

    answers = [
        requests.post(
            f"{stack.push_url}/api/executions",
            json={"automationId": "keyed"},
            headers=headers,
            timeout=10,
        )
        for _ in range(3)
    ]

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    stack.wait_for(answers[0].json()["id"], ENDED)


def test_a_viewer_may_look_and_not_touch(stack: Stack) -> None:
    def status(method: str, path: str, token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        url = stack.push_url + path
        return requests.request(method, url, json={}, headers=headers, timeout=10).status_code

    assert status("GET", "/api/executions", VIEWER) == 200
    assert status("POST", "/api/executions", VIEWER) == 403
    assert status("POST", "/api/executions", OPERATOR) == 400
    assert status("POST", "/api/automation/recipes", OPERATOR) == 403
    assert status("POST", "/api/automation/recipes", TOKEN) == 400
    assert status("GET", "/api/executions", "wrong") == 401


def test_the_log_can_be_followed_and_resumed(stack: Stack) -> None:
    stack.ask(
        "POST",
        "/api/automation/recipes",
        a_journey_automation("followed", parameters={"first": 240_001}),
    )
    started = stack.ask("POST", "/api/executions", {"automationId": "followed"})
    headers = {"Authorization": f"Bearer {VIEWER}", "Accept": "text/event-stream"}
    url = f"{stack.push_url}/api/executions/{started['id']}/log"

    whole = requests.get(url, headers=headers, timeout=60).text.split("\n\n")
    third = whole[2].splitlines()[0].removeprefix("id: ")
    rest = requests.get(url, headers={**headers, "Last-Event-ID": third}, timeout=60).text.split(
        "\n\n"
    )

    assert "Started by hand." in whole[0]
    assert whole[-2].startswith("event: end")
    assert rest == whole[3:]


def test_a_scheduled_push_goes_out_at_its_instant(stack: Stack) -> None:
    _, at = due_in(2)
    stack.ask("POST", "/api/devices", {"userId": user(250_001), "token": "scheduled"})

    scheduled = stack.ask(
        "POST",
        "/api/scheduled-pushes",
        {
            "scheduledFor": at.isoformat(),
            "title": "Only once",
            "body": "News",
            "audienceCriteria": {"filters": {}, "manualUserIds": [user(250_001), user(250_002)]},
            "audienceDescription": "Two users, one with a device",
        },
    )["scheduledPush"]
    path = f"/api/scheduled-pushes/{scheduled['id']}"
    sent = wait_until(
        lambda: stack.ask("GET", path)["scheduledPush"], lambda push: push["status"] == "sent", 20
    )

    got = [message["userId"] for message in stack.messages() if message["title"] == "Only once"]
    assert got == [user(250_001)]
    execution = stack.wait_for(sent["execution"]["id"], ENDED)
    assert datetime.fromisoformat(execution["liveAt"]) == at


def _running_scripts(stack: Stack) -> list[int]:
    folder = str(stack.folder / "scripts")
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if folder in " ".join(process.info["cmdline"] or [])
    ]


def test_a_script_is_tried_out_by_an_engine_and_nobody_is_sent_to(stack: Stack) -> None:
    before = len(stack.messages())
    body = {"scriptId": "users", "parameters": {"first": 1, "users": 7, "sleep": 1}}

    answer = stack.ask("POST", "/api/scripts", body, token=OPERATOR)

    assert answer["data"]["audienceSize"] == 7
    assert answer["data"]["executionTime"] >= 1_000
    (run,) = (r for r in stack.ask("GET", "/api/scripts/users/runs")["runs"] if r["isTrial"])
    assert (run["id"], run["exitCode"]) == (answer["data"]["runId"], 0)
    assert [a["rows"] for a in run["audiences"]] == [7]
    assert len(stack.messages()) == before
