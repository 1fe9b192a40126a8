"""The pages about executions, and the dashboard, without an engine: a started execution waits."""

import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.rows import execute
from push_blaster.adapters.devices.device_table import select_devices_of
from push_blaster.adapters.executions.execution_log import append_log
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.adapters.executions.violation_table import insert_violation
from push_blaster.adapters.operations.engine_table import beat
from push_blaster.domain.executions.execution import LogLevel
from push_blaster.domain.executions.phase import ENDED
from push_blaster.domain.executions.safeguards import Severity, Violation, ViolationType
from tests.builders import NOON, a_document, died
from tests.page_reader import form_value, form_values, table_rows
from tests.people import ALICE
from tests.push_blaster.doubted import insert_doubted
from tests.push_blaster.web.page_support import Visitor
from tests.push_blaster.web.recipes import create


@pytest.fixture
def started(client: FlaskClient) -> str:
    client.post("/api/automation/recipes", json=a_document(id="news", name="News & more"))
    body: dict[str, Any] = {"automationId": "news", "cancellationWindowMinutes": 5}
    execution_id: str = client.post("/api/executions", json=body).get_json()["id"]
    return execution_id


def test_the_dashboard_shows_what_runs_and_how_to_stop_it(operator: Visitor, started: str) -> None:
    page = operator.get("/")

    assert "News &amp; more" in page
    assert f"/executions/{started}/stop" in page
    assert "No engine is running: nothing is sent." in page
    assert page.count("News &amp; more") == operator.get("/live/dashboard").count("News &amp; more")


def test_a_viewer_sees_no_buttons(viewer: Visitor, started: str) -> None:
    assert "/stop" not in viewer.get("/")
    assert "/stop" not in viewer.get(f"/executions/{started}")


def test_the_dashboard_shows_the_sends_of_the_next_day(
    viewer: Visitor, client: FlaskClient
) -> None:
    create(client, status="active", isActive=True)

    page = viewer.get("/")

    assert "1 planned live send in" in page
    assert "Every day at" in page


def test_a_broken_file_is_shown_first(viewer: Visitor, started: str, tmp_path: Path) -> None:
    (tmp_path / "automations" / "torn.json").write_text("{")

    page = viewer.get("/")

    assert page.count("torn.json") == 1
    assert "1 broken file<" in page
    assert page.index("torn.json") < page.index("News &amp; more")


def test_an_execution_is_shown_with_its_log(
    viewer: Visitor, started: str, database: Database
) -> None:
    with database.transaction() as connection:
        for number in range(300):
            append_log(connection, started, "script", f"line <{number}>", NOON)

    page = viewer.get(f"/executions/{started}")

    assert "line &lt;299&gt;" in page
    assert "line &lt;50&gt;" not in page
    assert "Behaviour-responsive" in page


def said(page: str) -> list[str]:
    """Return the lines of a log that are on a page."""
    return re.findall(r"line (\d+)", page)


def test_a_log_is_read_in_pages_up_and_down(
    viewer: Visitor, started: str, database: Database
) -> None:
    with database.transaction() as connection:
        for number in range(500):
            append_log(connection, started, "script", f"line {number}", NOON)
    live = f"/live/executions/{started}/log"

    last = viewer.get(live)
    first_id = re.findall(r'data-id="(\d+)"', last)[0]
    before = viewer.get(f"{live}?before={first_id}")
    after = viewer.get(f"{live}?after={first_id}")

    assert said(last) == [str(n) for n in range(300, 500)]
    assert said(before) == [str(n) for n in range(100, 300)]
    assert said(after) == [str(n) for n in range(301, 500)]


def test_a_log_is_searched_in_all_its_length(
    viewer: Visitor, started: str, database: Database
) -> None:
    with database.transaction() as connection:
        append_log(connection, started, "script", "The 50% mark, line 0", NOON, LogLevel.WARNING)
        for number in range(1, 300):
            append_log(connection, started, "script", f"line {number}", NOON)
        append_log(connection, started, "failed", "Broken at line 300", NOON, LogLevel.ERROR)
    page = f"/executions/{started}"

    assert said(viewer.get(f"{page}?find=THE+50%25+mark")) == ["0"]
    assert said(viewer.get(f"{page}?level=warning")) == ["0", "300"]
    assert said(viewer.get(f"{page}?level=error&find=line")) == ["300"]
    assert said(viewer.get(f"{page}?find=line_")) == []


def test_what_failed_last_needs_a_person_until_it_ran_well(
    viewer: Visitor, started: str, database: Database
) -> None:
    def end(phase: str, execution_id: str) -> None:
        with database.transaction() as connection, connection.cursor() as cursor:
            cursor.execute(
                "UPDATE executions SET phase = %s, reason = 'No rows.', ended_at = now(),"
                " due_at = NULL WHERE id = %s",
                (phase, execution_id),
            )

    end("failed", started)
    after_failure = viewer.get("/")
    in_trouble = viewer.get("/automations?show=in+trouble")
    again = {"automationId": "news", "mode": "live"}
    headers = {"Authorization": "Bearer operator"}
    later = viewer.client.post("/api/executions", json=again, headers=headers).get_json()["id"]
    while_it_runs = viewer.get("/")
    end("completed", later)
    after_success = viewer.get("/")

    assert "Needs attention" in after_failure
    assert "No rows." in after_failure
    assert "News &amp; more" in in_trouble
    assert "Needs attention" in while_it_runs
    assert "Needs attention" not in after_success
    assert "News" not in viewer.get("/automations?show=in+trouble")


def test_what_a_safeguard_found_is_seen_to(
    operator: Visitor, started: str, database: Database
) -> None:
    with database.transaction() as connection:
        found = Violation(
            ViolationType.AUDIENCE_SIZE_EXCEEDED, Severity.CRITICAL, "Too many users."
        )
        insert_violation(connection, select_execution(connection, started), found, NOON)
    page = operator.get("/")
    action = re.search(r'action="(/violations/[^"]+)"', page)
    assert action

    operator.post(action[1])

    assert "Too many users." in page
    assert "Too many users." not in operator.get("/live/dashboard")


def test_a_provider_that_fails_is_told_of(viewer: Visitor, database: Database) -> None:
    pace = {"breaker": "closed", "slowedTo": 1.0}

    def seen(**changes: object) -> str:
        with database.transaction() as connection:
            beat(connection, "engine", NOON, utc_now(), {**pace, **changes})
        return viewer.get("/live/dashboard")

    assert "quota" not in seen()
    assert "slowed to 70%" in seen(slowedTo=0.7)
    assert "It rejects most messages" in seen(breaker="open")


def test_why_users_got_nothing_is_counted_by_reason(
    viewer: Visitor, started: str, database: Database
) -> None:
    outcomes = [("no_token", "no device"), ("no_token", "no device"), ("in_doubt", "time-out")]
    outcomes += [("sent", ""), ("held_back", "a_rule")]
    page = f"/executions/{started}/failures"
    before = viewer.get(page)
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO deliveries (execution_id, position, is_test, user_id, state, reason,"
            " batch, claimed_at) VALUES (%s, 1, false, gen_random_uuid(), %s, %s, 0, now())",
            [(started, state, reason) for state, reason in outcomes],
        )

    after = viewer.get(page)

    assert "No failures: every user" in before
    rows = [(reason, users) for _, _, reason, users, _ in table_rows(after)[1:]]
    assert rows == [("no device", "2"), ("time-out", "1")]


def test_everything_is_stopped_once_that_is_typed(operator: Visitor, started: str) -> None:
    asked = operator.get("/stop-everything")
    careless = operator.post("/stop-everything", word="stop")
    still = operator.client.get(f"/api/executions/{started}").get_json()["phase"]
    meant = operator.post("/stop-everything", word="stop all", reason="A leak")

    assert "This stops 1 running execution" in asked
    assert (careless.location, still) == ("/stop-everything", "waiting")
    assert meant.location == "/"
    assert "Executions stopped: 1." in operator.get("/")
    assert "A leak" in operator.get(f"/executions/{started}")


def test_a_live_stop_is_confirmed_by_typing(operator: Visitor, started: str) -> None:
    asked = operator.get(f"/executions/{started}/stop")
    careless = operator.post(f"/executions/{started}/stop", word="yes")
    still_running = operator.client.get(f"/api/executions/{started}").get_json()["phase"]
    meant = operator.post(f"/executions/{started}/stop", word="stop", reason="Wrong text")

    assert "Type <kbd>STOP</kbd>" in asked
    assert careless.location.endswith("/stop")
    assert still_running == "waiting"
    assert meant.location == f"/executions/{started}"
    page = operator.get(meant.location)
    assert "Receipt:" in page
    assert "Wrong text" in page


def let_it_be_restored(database: Database) -> None:
    """Let the live send have ended on its way, and come back with a backup."""
    with database.transaction() as connection:
        execute(connection, "UPDATE execution_pushes SET started_at = now()")
        execute(
            connection,
            "UPDATE executions SET phase = 'cancelled', ended_at = now(), due_at = NULL",
        )
        execute(connection, "INSERT INTO restores (restored_at) VALUES (clock_timestamp())")


def test_what_a_backup_brought_back_is_resumed_only_with_an_explicit_yes(
    client: FlaskClient, operator: Visitor, started: str, database: Database
) -> None:
    let_it_be_restored(database)
    api, page = f"/api/executions/{started}", f"/executions/{started}/resume"
    bodies: list[dict[str, object]] = [{}, {"evenIfRestored": False}]

    shown = client.get(api).get_json()
    asked = operator.get(page)
    silent = [client.post(f"{api}/resume", json=body) for body in bodies]
    odd = client.post(f"{api}/resume", json={"evenIfRestored": "surely"})
    careless = operator.post(page, once=form_value(asked, "once"))
    meant = client.post(f"{api}/resume", json={"evenIfRestored": True})

    assert shown["restoredAt"]
    assert 'name="even_if_restored"' in asked
    assert "is unknown" in asked
    assert [answer.status_code for answer in silent] == [409, 409]
    assert "send evenIfRestored: true" in silent[0].get_json()["error"]
    assert (odd.status_code, careless.status_code) == (400, 409)
    assert meant.status_code == 202, meant.get_json()
    assert meant.get_json()["restoredAt"] is None


def test_a_page_resumes_it_when_the_box_is_ticked(
    operator: Visitor, started: str, database: Database
) -> None:
    let_it_be_restored(database)
    page = f"/executions/{started}/resume"

    once = form_value(operator.get(page), "once")
    resumed = operator.post(page, even_if_restored="on", once=once)

    assert resumed.status_code == 303
    assert "Started." in operator.get(resumed.location)


def test_a_cancel_is_one_click_after_its_question(operator: Visitor, started: str) -> None:
    operator.post(f"/executions/{started}/cancel")

    phase = operator.client.get(f"/api/executions/{started}").get_json()["phase"]
    assert phase == "cancelled"
    assert "Cancelled" in operator.get("/executions?show=ended")
    assert "News" not in operator.get("/executions?show=failed")


def test_the_list_goes_on_at_its_cursor(viewer: Visitor, started: str) -> None:
    cursor = "2026-01-01T00:00:00+00:00|x"

    assert "News" in viewer.get("/executions")
    assert "News" not in viewer.get(f"/executions?before={cursor.replace('+', '%2B')}")
    assert viewer.client.get("/executions?before=rubbish").status_code == 400


def test_devices_of_another_project_are_named_as_a_fault_of_the_set_up(
    operator: Visitor, started: str, database: Database
) -> None:
    dead = [died("a", "404"), died("b", "403 SENDER_ID_MISMATCH: another project")]
    with database.transaction() as connection:
        insert_doubted(connection, started, dead, NOON)

    page, asked = (operator.get(f"/executions/{started}{end}") for end in ("", "/dead-devices"))

    assert "1 device registered with another project" in page
    assert "The provider called 1 device dead" in page
    assert "Of 2 devices, 1 registered with another project" in asked


def test_doubted_devices_are_marked_dead_on_the_page_after_a_question(
    operator: Visitor, viewer: Visitor, started: str, database: Database
) -> None:
    page, ask = f"/executions/{started}", f"/executions/{started}/dead-devices"
    before = operator.get(page)
    with database.transaction() as connection:
        insert_doubted(connection, started, [died("a", "404"), died("b", "404")], NOON)

    offered, asked, seen = operator.get(page), operator.get(ask), viewer.get(page)
    answer = operator.client.post(ask, data=form_values(asked))

    assert "data-doubted" not in before
    assert "The provider called 2 devices dead" in offered
    assert f'href="{ask}"' in offered
    assert "Mark these 2 devices dead" in asked
    assert f'action="{ask}"' in asked
    assert "The provider called 2 devices dead" in seen
    assert ask not in seen
    assert answer.location == page
    after = operator.get(page)
    assert "Devices marked as dead: 2." in after
    assert "data-doubted" not in after
    assert "There is no device left to mark." in operator.get(ask)
    with database.transaction() as connection:
        assert len(select_devices_of(connection, ALICE, dead=True)) == 2


DONE = {"approve": "approved", "cancel": "cancelled", "resume": "resumed", "stop": "stopped"}


@pytest.mark.parametrize(
    ("phase", "action", "says"),
    [
        ("completed", "stop", "was completed. Sent to 0 users."),
        ("cancelled", "cancel", "stopped or cancelled"),
        ("failed", "stop", "This execution failed. Sent to 0 users."),
        ("missed", "approve", "was missed"),
        ("skipped", "resume", "Only a live send that"),
        ("live_execution", "cancel", "already live"),
        ("live_execution", "resume", "still runs"),
        ("waiting", "approve", "wait for an approval"),
    ],
)
def test_a_question_that_comes_too_late_says_what_happened(
    operator: Visitor, database: Database, started: str, phase: str, action: str, says: str
) -> None:
    with database.transaction() as connection:
        execute(
            connection,
            """
            UPDATE executions
               SET phase = %(phase)s,
                   ended_at = CASE WHEN %(ended)s THEN now() END,
                   due_at = CASE WHEN NOT %(ended)s THEN due_at END
            """,
            {"phase": phase, "ended": phase in ENDED},
        )

    page = operator.get(f"/executions/{started}/{action}")

    assert f"<h1>This execution cannot be {DONE[action]} now</h1>" in page
    assert says in page
    assert '<form method="post"\n            action="/executions/' not in page


def test_a_question_in_time_is_asked(operator: Visitor, started: str) -> None:
    assert "<h1>Stop this execution now?</h1>" in operator.get(f"/executions/{started}/stop")
