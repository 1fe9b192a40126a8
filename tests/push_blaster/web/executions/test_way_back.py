"""From an execution back to its automation, to its script, and to another run of it."""

import re
from datetime import timedelta
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from chassis.clock import utc_now
from push_blaster.adapters.audiences.script_run_table import end_run, start_run
from push_blaster.adapters.operations.engine_table import beat
from push_blaster.domain.audiences.script_run import RunEnd, RunState
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.modes import Mode
from tests.page_reader import form_value, form_values
from tests.push_blaster.bench import Bench
from tests.push_blaster.web.page_support import Visitor
from tests.push_blaster.web.recipes import create

FAILING = "def main():\n    return 1 / 0\n\nmain()\n"
AUTOMATION = "/automations/news"


@pytest.fixture
def failed(bench: Bench, client: FlaskClient) -> Execution:
    bench.now = utc_now() - timedelta(minutes=10)
    bench.write_script(FAILING)
    create(client, audienceCriteria={"customScript": {"scriptId": "users"}})
    return bench.run(bench.start())


def links(page: str) -> set[str]:
    return {found.partition("#")[0] for found in re.findall(r'href="([^"]+)"', page)}


def test_an_execution_leads_to_its_automation_by_role(
    failed: Execution, viewer: Visitor, operator: Visitor, admin: Visitor
) -> None:
    path = f"/executions/{failed.id}"

    assert links(viewer.get(path)) & {AUTOMATION, f"{AUTOMATION}/run", f"{AUTOMATION}/edit"} == {
        AUTOMATION
    }
    assert {AUTOMATION, f"{AUTOMATION}/run"} <= links(operator.get(path))
    assert f"{AUTOMATION}/edit" not in links(operator.get(path))
    assert {AUTOMATION, f"{AUTOMATION}/run", f"{AUTOMATION}/edit"} <= links(admin.get(path))


@pytest.mark.parametrize("path", ["/executions", "/executions?show=failed", "/"])
def test_each_row_of_executions_leads_to_its_automation(
    failed: Execution, operator: Visitor, path: str
) -> None:
    assert {AUTOMATION, f"/executions/{failed.id}"} <= links(operator.get(path))


def test_what_needs_a_person_leads_to_another_run(failed: Execution, operator: Visitor) -> None:
    page = operator.get("/live/dashboard")
    attention = page[page.index('id="attention"') : page.index('id="running"')]

    assert {AUTOMATION, f"{AUTOMATION}/run"} <= links(attention)
    assert "in line 2: a number is divided by zero." in attention
    assert "Traceback" not in attention


def test_an_execution_whose_automation_is_gone_leads_nowhere(
    failed: Execution, client: FlaskClient, admin: Visitor
) -> None:
    client.delete("/api/automation/recipes/news")

    for path in (f"/executions/{failed.id}", "/executions", "/"):
        assert AUTOMATION not in links(admin.get(path)), path


def test_an_execution_leads_to_a_copy_of_its_automation(failed: Execution, admin: Visitor) -> None:
    once = form_value(admin.get(f"/executions/{failed.id}"), "once")

    copied = admin.post(f"{AUTOMATION}/duplicate", once=once)

    assert copied.status_code == 303
    assert copied.location != AUTOMATION


def test_a_test_runs_again_at_once(bench: Bench, client: FlaskClient, operator: Visitor) -> None:
    bench.now = utc_now() - timedelta(minutes=10)
    bench.write_script(FAILING)
    create(client, audienceCriteria={"customScript": {"scriptId": "users"}})
    dry = bench.run(bench.start(Mode.REAL_DRY_RUN))
    page = operator.get(f"/executions/{dry.id}")
    form = form_values(page)
    assert "duplicate" not in page

    again = operator.post(f"{AUTOMATION}/test", mode=form["mode"][0], once=form["once"][0])

    assert form["mode"] == ["real-dry-run"]
    assert again.status_code == 303
    assert "real-dry-run" in again.location
    assert again.location != f"/executions/{dry.id}"


def test_a_failed_script_is_explained_and_leads_to_its_source(
    failed: Execution, viewer: Visitor, admin: Visitor
) -> None:
    page, seen = viewer.get(f"/executions/{failed.id}"), admin.get(f"/executions/{failed.id}")
    source = admin.get("/scripts/users/source")

    assert "ended with exit code 1 in line 2: a number is divided by zero.</p>" in page
    output = page[page.index('<pre class="output"') : page.index("</pre>")]
    assert "ZeroDivisionError: division by zero" in output
    assert re.search(r"<mark>\s+return 1 / 0</mark>", output)
    assert "<mark>ZeroDivisionError" not in output
    assert "/scripts/users" in links(page)
    assert "/scripts/users/source" not in links(page)
    assert 'href="/scripts/users/source#line-2"' in seen
    assert re.search(r'<li id="line-2">\s*<code>    return 1 / 0</code>', source)


def test_the_source_is_for_administrators(failed: Execution, operator: Visitor) -> None:
    assert operator.client.get("/scripts/users/source").status_code == 403


def test_a_run_of_a_script_that_failed_runs_again_with_its_parameters(
    bench: Bench, operator: Visitor
) -> None:
    bench.write_script('"""\nparameter days (integer, default 2): How far back\n"""\n' + FAILING)
    with bench.database.transaction() as connection:
        beat(connection, "an-engine", utc_now(), utc_now())
    first = operator.post("/scripts/users", once="a", days="7").location
    failure = "The script 'users' ended with exit code 1 in line 5: no. Its last words:\nTraceback"
    with bench.database.transaction() as connection:
        run = start_run(connection, UUID(first.rpartition("/")[2]), "an-engine", utc_now())
        assert run
        end = RunEnd(state=RunState.FAILED, exit_code=1, error=failure)
        end_run(connection, run.id, end, utc_now())
    page = operator.get(first)
    form = form_values(page)

    again = operator.post("/scripts/users", once=form["once"][0], days=form["days"][0])

    assert "in line 5: no.</p>" in page
    assert form["days"] == ["7"]
    assert again.status_code == 303
    assert again.location != first
    assert "days=7" in operator.get(again.location)
