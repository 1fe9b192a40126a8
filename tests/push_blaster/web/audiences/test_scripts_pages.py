"""The pages about audience scripts."""

import re
from pathlib import Path
from uuid import UUID

import pytest

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.audiences.script_run_table import end_run, start_run
from push_blaster.adapters.executions.execution_log import append_log
from push_blaster.adapters.operations.engine_table import beat
from push_blaster.domain.audiences.script_run import FoundAudience, RunEnd, RunState
from tests.page_reader import form_value
from tests.push_blaster.web.page_support import Visitor

SCRIPT = '''"""
description: Whoever waters plants
audience waterers: Everybody with a can
parameter days (integer, default 2): How far to look back
"""
'''


@pytest.fixture
def engine(database: Database) -> str:
    """An engine that is at work, as far as the table of engines tells."""
    with database.transaction() as connection:
        beat(connection, "an-engine", utc_now(), utc_now())
    return "an-engine"


@pytest.fixture(autouse=True)
def script(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir(exist_ok=True)
    (tmp_path / "scripts" / "waterers.py").write_text(SCRIPT)


def test_scripts_are_shown_with_what_they_may_use(viewer: Visitor) -> None:
    page = viewer.get("/scripts")

    assert "Whoever waters plants" in page
    assert "<code>OUTPUT_PATH</code>" in page
    one = viewer.get("/scripts/waterers")
    assert "Everybody with a can" in one
    assert "Trial run" not in one


def test_a_trial_is_started_once_followed_and_shows_what_it_wrote(
    operator: Visitor, engine: str, database: Database
) -> None:
    form = {"once": form_value(operator.get("/scripts/waterers"), "once"), "days": "3"}
    first = operator.post("/scripts/waterers", **form)
    again = operator.post("/scripts/waterers", **form)
    assert first.location == again.location
    assert "days=3" in operator.get(first.location)

    run_id = UUID(first.location.rpartition("/")[2])
    found = FoundAudience(
        name="waterers",
        file="waterers.csv",
        is_test=False,
        rows=2,
        valid=2,
        columns=("user_id", "can"),
        sample=({"user_id": "u-1", "can": "<big>"},),
    )
    with database.transaction() as connection:
        run = start_run(connection, run_id, "an-engine", utc_now())
        assert run
        append_log(connection, run.log_id, "script", "wrote 2", utc_now())
        ended = RunEnd(state=RunState.SUCCEEDED, exit_code=0, audiences=(found,))
        end_run(connection, run_id, ended, utc_now())

    page = operator.get(first.location)
    assert "&lt;big&gt;" in page
    assert "wrote 2" in page
    assert '/stop"' not in page
    assert "Succeeded" in operator.get("/scripts/waterers")


def test_a_trial_that_waits_can_be_stopped(operator: Visitor, engine: str) -> None:
    started = operator.post("/scripts/waterers", once="a")

    assert "Stop</button>" in operator.get(started.location)
    operator.post(f"{started.location}/stop")
    assert "Stopped by an operator." in operator.get(started.location)


def test_parameters_that_do_not_fit_are_said_beside_their_field(
    operator: Visitor, engine: str
) -> None:
    refused = operator.post("/scripts/waterers", once="a", days="soon")

    assert refused.status_code == 400
    assert 'id="days-said"' in refused.text
    assert 'value="soon"' in refused.text


def test_a_required_choice_asks_for_a_value_and_another_one_names_its_default(
    operator: Visitor, tmp_path: Path
) -> None:
    (tmp_path / "scripts" / "waterers.py").write_text(
        '"""\n'
        "description: Whoever waters plants\n"
        "parameter tone (choice of short|long, required): Which text\n"
        "parameter often (choice of daily|weekly, default weekly): How often\n"
        "parameter rain (boolean): Also on rainy days\n"
        '"""\n'
    )

    page = operator.get("/scripts/waterers")

    assert re.findall(r'<option value=""[^>]*>\s*([^<]*?)\s*</option>', page) == [
        "choose one",
        "default: weekly",
        "default",
    ]


def test_without_an_engine_there_is_nobody_to_run_it(operator: Visitor) -> None:
    refused = operator.post("/scripts/waterers", once="a")

    assert refused.status_code >= 400
    assert "No engine is at work" in refused.text
