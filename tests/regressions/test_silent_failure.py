"""Defects 27 to 38 of the original: silent failure and false success."""

import subprocess
import sys
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis.postgres import BulkDatabase, Database
from push_blaster.app import create_app
from push_blaster.domain.executions.limits import Limits, ScriptLimits
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.cadence.track_sends import track_sends
from push_blaster.web.executions import log_stream
from tests.cadence_service.settings import CADENCE_TOKEN
from tests.journeys.stack import user
from tests.people import ALICE, BOB
from tests.push_blaster.bench import Bench, messages
from tests.push_blaster.cadence_support import history
from tests.push_blaster.settings import settings_for
from tests.push_blaster.web.recipes import RECIPES
from tests.regressions.support import create
from tests.scripts import a_script

MONITOR = "/api/automation/monitor"


def test_defect_27_a_failed_run_says_why_and_a_good_one_is_counted(
    bench: Bench, client: FlaskClient
) -> None:
    create(client)
    bench.run(bench.start())
    bench.write_script("raise SystemExit('no such table: traders')")
    bench.now += timedelta(hours=1)
    failed = bench.run(bench.start()).id

    told = client.get(f"/api/executions/{failed}").get_json()
    counted = client.get(f"{RECIPES}/news").get_json()["data"]["metadata"]
    listed = client.get("/api/executions?automationId=news").get_json()["executions"]

    assert (told["phase"], told["status"]) == ("failed", "failed")
    assert "no such table: traders" in told["reason"]
    assert (counted["totalExecutions"], counted["successfulExecutions"]) == (2, 1)
    assert counted["failedExecutions"] == 1
    assert "no such table: traders" in counted["lastError"]
    assert [e["phase"] for e in listed] == ["failed", "completed"]


def send_to_alice(cadence: FlaskClient) -> None:
    told = {
        "userId": str(ALICE),
        "layerId": 3,
        "pushTitle": "T",
        "pushBody": "B",
        "audienceDescription": "A",
    }
    assert cadence.post("/track-notification", json=told).get_json()["recorded"] == 1


def ask(cadence: FlaskClient, *ids: str) -> dict[str, Any]:
    response = cadence.post("/filter-audience", json={"userIds": list(ids), "layerId": 3})
    assert response.status_code == 200
    answer: dict[str, Any] = response.get_json()
    return answer


def test_defect_28_a_bad_id_is_counted_and_lifts_nobody_elses_cooldown(
    cadence: FlaskClient,
) -> None:
    send_to_alice(cadence)

    answer = ask(cadence, str(ALICE), "not-a-uuid", str(BOB))

    assert answer["eligibleUserIds"] == [str(BOB)]
    assert answer["excludedCount"] == 2
    held = {rule: n for rule, n in answer["exclusionBreakdown"].items() if n}
    assert held == {"layer_3_cooldown_hours": 1, "invalidUuid": 1}
    assert answer["failedOpen"] is False


def test_defect_29_no_id_is_both_held_back_and_let_through_and_failing_open_lets_all_through(
    cadence: FlaskClient, cadence_database: BulkDatabase
) -> None:
    send_to_alice(cadence)
    loud = str(ALICE).upper()

    checked = ask(cadence, loud, str(BOB))
    with cadence_database.transaction() as connection:
        connection.execute("UPDATE cadence_rules SET is_active = false")
    unchecked = ask(cadence, loud, str(BOB))

    assert (checked["eligibleUserIds"], checked["excludedCount"]) == ([str(BOB)], 1)
    assert unchecked["eligibleUserIds"] == [loud, str(BOB)]
    assert unchecked["failedOpen"] is True


def test_defect_30_the_neighbour_is_where_the_settings_say_and_health_does_not_waver(
    push_url: str, bench: Bench, cadence_service: str
) -> None:
    def ask_health(cadence_url: str) -> list[tuple[int, str, str]]:
        settings = settings_for(push_url, bench.folder)
        moved = {name: getattr(settings, name) for name in settings.__slots__}
        moved |= {"cadence_url": cadence_url, "cadence_token": CADENCE_TOKEN}
        app = create_app(type(settings)(**moved))
        headers = {"Authorization": "Bearer viewer"}
        answers = [app.test_client().get("/api/health", headers=headers) for _ in range(3)]
        return [
            (a.status_code, a.get_json()["status"], a.get_json()["dependencies"]["cadence"])
            for a in answers
        ]

    with bench.database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO engines (id, started_at, seen_at) VALUES ('e', now(), now())")

    assert ask_health(cadence_service) == [(200, "healthy", "healthy")] * 3
    away = ask_health("http://127.0.0.1:9")
    assert {(code, status) for code, status, _ in away} == {(200, "degraded")}
    assert "healthy" not in {cadence for _, _, cadence in away}


def test_defect_31_a_send_is_remembered_through_a_crash_and_a_failure_is_none(
    bench: Bench, cadence_database: Database
) -> None:
    bench.write_script(
        a_script(f"{ALICE},Alice,alices", f"{BOB},Bob,", header="user_id,first_name,device_token")
    )
    bench.run(bench.start())
    with cadence_database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE user_notifications, notification_keys")
    # As if the engine had been killed between the send and telling cadence of it.
    with bench.database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE send_batches SET tracked_at = NULL")
    bench.now += timedelta(minutes=1)

    assert track_sends(bench.context) == 1
    assert sum(count for _, _, count in history(cadence_database)) == 1, "Bob had no token"


def test_defect_32_a_send_that_was_broken_off_goes_on_where_it_was(bench: Bench) -> None:
    execution_id = bench.start(parameters={"users": 90})
    for reached in (15, 40, 77):
        bench.work_until_sent(reached)
        assert bench.execution(execution_id).phase is Phase.LIVE_EXECUTION

    assert bench.run(execution_id).phase is Phase.COMPLETED
    assert sorted(m["userId"] for m in messages(bench)) == [user(n) for n in range(1, 91)]


def test_defect_33_a_batch_writes_its_own_rows_and_no_others(bench: Bench) -> None:
    execution_id = bench.start(parameters={"users": 60})
    bench.work_until_sent(20)

    def first_batch() -> list[tuple[object, ...]]:
        with bench.database.transaction() as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT user_id, xmin::text, ctid::text FROM deliveries WHERE batch = 0 ORDER BY 1"
            )
            return cursor.fetchall()

    written = first_batch()
    bench.run(execution_id)

    assert len(written) == 20
    assert first_batch() == written, "the rest of the send has not touched them"


def test_defect_34_a_test_that_nobody_gets_is_no_completed_test(bench: Bench) -> None:
    required = {"testUserIds": [], "safeguards": {"requireTestFirst": True}}

    execution = bench.run(bench.start(settings=required))

    assert execution.phase is Phase.FAILED
    assert "no test user is named here or by the script" in (execution.reason or "")
    assert messages(bench) == []


def test_defect_35_a_scripts_traceback_is_the_reason_of_the_failure(
    bench: Bench, client: FlaskClient
) -> None:
    (bench.folder / "scripts" / "warehouse.py").write_text(
        "def read():\n    raise ConnectionError('warehouse: no route to host')\n"
    )
    bench.write_script("import warehouse\nwarehouse.read()")

    execution_id = bench.run(bench.start()).id

    reason = client.get(f"/api/executions/{execution_id}").get_json()["reason"]
    assert "ended with exit code 1" in reason
    assert "in read" in reason, "the module beside it was found"
    assert "ConnectionError: warehouse: no route to host" in reason


def test_defect_35_a_time_limit_names_the_setting_that_it_is(bench: Bench) -> None:
    bench.change(limits=Limits(script=ScriptLimits(time=timedelta(seconds=1))))
    bench.write_script("import time\nprint('still waiting', flush=True)\ntime.sleep(60)")

    reason = bench.run(bench.start()).reason or ""

    assert "did not end within 1 s (PUSH_SCRIPT_TIMEOUT_SECONDS)" in reason
    assert "still waiting" in reason


def test_defect_36_a_missing_preference_drops_nobody_and_no_audience_is_an_alarm(
    bench: Bench, client: FlaskClient
) -> None:
    header = "user_id,first_name,device_token,favourite"
    rows = (f"{ALICE},Alice,alices,roses", f"{BOB},Bob,bobs,")
    bench.write_script(a_script(*rows, header=header))
    bench.run(bench.start(pushes=[{"title": "New [[var:favourite|flowers]]"}]))
    bench.write_script(a_script(header=header))
    bench.run(bench.start(id="nobody"))

    alarms = client.get(f"{MONITOR}?type=violations").get_json()["data"]["violations"]

    assert [m["title"] for m in messages(bench)] == ["New roses", "New flowers"]
    assert [(a["automationId"], a["type"], a["severity"]) for a in alarms] == [
        ("nobody", "audience_empty", "critical")
    ]


def test_defect_37_what_is_well_is_not_flagged_and_what_cannot_be_read_is_not_well(
    bench: Bench, client: FlaskClient
) -> None:
    for name in ("one", "two"):
        create(client, id=name)
        bench.start(id=name)

    overview = client.get(MONITOR).get_json()["data"]
    health = client.get(f"{MONITOR}?type=health").get_json()["data"]

    assert overview["activeExecutions"]["count"] == 2
    assert overview["metrics"]["systemHealthScore"] == 100
    assert overview["systemStatus"]["healthy"] is True
    assert health["components"]["cadence_service"]["status"] != "ok"
    assert any("cadence" in advice for advice in health["recommendations"])


def test_defect_37_the_score_recovers_when_what_was_wrong_is_seen_to(
    bench: Bench, client: FlaskClient
) -> None:
    bench.write_script(a_script())
    bench.run(bench.start())
    (violation,) = client.get(f"{MONITOR}?type=violations").get_json()["data"]["violations"]

    def score() -> int:
        found: int = client.get(MONITOR).get_json()["data"]["metrics"]["systemHealthScore"]
        return found

    before = score()
    seen_to = {"action": "resolve_violation", "violationId": violation["id"], "resolution": "Ok"}
    client.post(MONITOR, json=seen_to)

    assert (before, score()) == (80, 100)


@pytest.mark.processes
def test_defect_38_the_web_loads_neither_the_engine_nor_its_job_library() -> None:
    source = (
        "import sys, push_blaster.app as app\n"
        "print([n for n in sys.modules if n in {'procrastinate', 'push_blaster.engine'}])"
    )
    command = [sys.executable, "-c", source]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_defect_38_a_silent_log_says_that_it_lives_and_holds_no_connection(
    bench: Bench, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_stream, "HEARTBEAT_S", 0.2)
    monkeypatch.setattr(log_stream, "FOLLOW_S", 0.05)
    execution_id = bench.start(settings={"cancellationWindowMinutes": 5})
    headers = {"Accept": "text/event-stream"}
    path = f"/api/executions/{execution_id}/log"
    with ExitStack() as followers:
        streams = [
            followers.enter_context(client.get(path, headers=headers)).response for _ in range(20)
        ]
        first = [next(iter(stream)) for stream in streams]

        answers = [client.get("/api/executions").status_code for _ in range(3)]
        heard = [next(iter(streams[0])) for _ in range(3)]

    assert all(first)
    assert answers == [200] * 3, "20 followers, and a pool of 8"
    assert b": still here\n\n" in heard
