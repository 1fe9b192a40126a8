"""What needs a person is dismissed with a note, undone, and comes back if it fails anew."""

from datetime import datetime, timedelta

import pytest
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.rows import execute
from push_blaster.domain.executions.modes import Mode
from tests.push_blaster.bench import Bench
from tests.push_blaster.web.page_support import Visitor
from tests.push_blaster.web.recipes import create


@pytest.fixture
def failed(bench: Bench) -> str:
    bench.now = utc_now() - timedelta(minutes=10)
    bench.write_script("raise SystemExit('broken')")
    return fail(bench)


def fail(bench: Bench, name: str = "News") -> str:
    execution = bench.run(bench.start(id=name.lower(), name=name))
    assert execution.phase == "failed"
    return execution.id


def end(bench: Bench, execution_id: str, phase: str, at: datetime | None, reason: str) -> None:
    sql = """
        UPDATE executions SET phase = %s, ended_at = %s, uncapped_reason = nullif(%s, ''),
               due_at = CASE WHEN %s::timestamptz IS NULL THEN now() END
         WHERE id = %s
    """
    with bench.database.transaction() as connection:
        execute(connection, sql, (phase, at, reason, at, execution_id))


def listed(client: FlaskClient, dismissed: str = "false") -> list[str]:
    answer = client.get(f"/api/attention?dismissed={dismissed}").get_json()
    return [one["executionId"] for one in answer["items"]]


def test_a_person_dismisses_with_a_note_and_undoes_it(
    operator: Visitor, client: FlaskClient, failed: str
) -> None:
    assert "Dismiss News…" in operator.get("/")
    assert "Note for colleagues" in operator.get(f"/executions/{failed}/dismissal")
    for _ in range(2):
        operator.post(f"/executions/{failed}/dismissal", note="Known: <the table> moved.")
    after = operator.get("/")

    assert "Needs attention" not in after
    assert "Known: &lt;the table&gt; moved." in after
    assert "operator," in after
    assert listed(client) == []
    assert "News" not in operator.get("/automations?show=in+trouble")

    operator.post(f"/executions/{failed}/dismissal/undo")

    assert "Needs attention" in operator.get("/")
    assert listed(client) == [failed]


def test_the_api_does_the_same_and_may_be_repeated(client: FlaskClient, failed: str) -> None:
    path = f"/api/executions/{failed}/dismissal"

    answers = [client.put(path, json={"note": "Seen."}).get_json() for _ in range(2)]
    (dismissed,) = client.get("/api/attention?dismissed=true").get_json()["items"]

    assert answers == [{"executionId": failed, "isDismissed": True}] * 2
    assert (dismissed["note"], dismissed["dismissedBy"]) == ("Seen.", "admin")
    assert listed(client) == []
    assert [client.delete(path).status_code for _ in range(2)] == [200, 200]
    assert listed(client) == [failed]


def test_it_comes_back_with_the_next_failure(
    client: FlaskClient, bench: Bench, failed: str
) -> None:
    client.put(f"/api/executions/{failed}/dismissal")

    bench.now += timedelta(minutes=1)
    again = fail(bench)

    assert listed(client) == [again]


def test_one_that_went_out_uncapped_comes_back_if_it_fails_afterwards(
    client: FlaskClient, bench: Bench, failed: str
) -> None:
    end(bench, failed, "live_execution", None, "cadence was away")
    client.put(f"/api/executions/{failed}/dismissal")
    while_it_runs = listed(client)
    end(bench, failed, "completed", utc_now(), "cadence was away")
    after_success = listed(client)
    end(bench, failed, "failed", utc_now(), "cadence was away")

    assert while_it_runs == after_success == []
    assert listed(client) == [failed]


def test_the_same_execution_that_begins_anew_and_fails_again_comes_back(
    client: FlaskClient, bench: Bench, failed: str
) -> None:
    client.put(f"/api/executions/{failed}/dismissal")
    assert listed(client) == []

    end(bench, failed, "failed", utc_now(), "")

    assert listed(client) == [failed]


def test_what_needs_nobody_is_not_dismissed(
    client: FlaskClient, viewer: Visitor, bench: Bench, failed: str
) -> None:
    tried = bench.start(Mode.REAL_DRY_RUN, id="tried")

    refused = client.put(f"/api/executions/{tried}/dismissal")

    assert refused.status_code == 409
    assert "only a live execution that failed" in refused.get_json()["detail"]
    assert client.put("/api/executions/none/dismissal").status_code == 404
    assert viewer.post(f"/executions/{failed}/dismissal").status_code == 403
    assert "Dismiss News…" not in viewer.get("/")


@pytest.mark.parametrize(
    ("put_away", "bring_back"), [("archive", "unarchive"), ("delete", "undo-delete")]
)
def test_an_automation_that_is_put_away_needs_nobody_until_it_is_back(
    admin: Visitor, client: FlaskClient, failed: str, put_away: str, bring_back: str
) -> None:
    create(client)

    assert admin.post(f"/automations/news/{put_away}").status_code == 303
    away = (listed(client), admin.get("/"), admin.get("/automations?show=in+trouble"))
    assert admin.post(f"/automations/news/{bring_back}").status_code == 303

    assert away[0] == []
    assert "Needs attention" not in away[1]
    assert "/automations/news" not in away[2]
    assert listed(client) == [failed]
    assert "Needs attention" in admin.get("/")
