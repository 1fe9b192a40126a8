"""A simulation walks the whole path of a live execution, and nothing leaves the machine."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chassis.postgres import Database
from chassis.rows import fetch_value
from push_blaster.adapters.automations.automation_document import complete_document
from push_blaster.domain.delivery.retry import RetryPolicy
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.modes import Mode, delivers, simulate
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.cadence.count_over_cap import count_over_cap
from push_blaster.use_cases.cadence.track_sends import track_sends
from push_blaster.use_cases.executions.start_execution import StartRequest, start_execution
from push_blaster.use_cases.operations.send_notices import send_notices
from tests.people import ALICE
from tests.push_blaster.alert_support import listening_for_findings
from tests.push_blaster.bench import Bench, an_automation_document, messages, phases
from tests.push_blaster.cadence_support import AWAY, history

#: Four users, three of whom meet a fault of their provider.
FAULTY = """
import csv, os, uuid
tokens = ["fine", "simulate-unregistered-1", "simulate-refused", "simulate-in-doubt"]
with open(os.path.join(os.environ["OUTPUT_PATH"], "everybody.csv"), "w", newline="") as f:
    table = csv.writer(f)
    table.writerow(["user_id", "first_name", "device_token"])
    for n, token in enumerate(tokens, start=1):
        table.writerow([uuid.UUID(int=n), f"Name {n}", token])
"""


def _simulate(bench: Bench, mode: Mode = Mode.LIVE, **changes: object) -> Execution:
    document = complete_document(an_automation_document(**changes))
    asked = StartRequest(mode=mode, is_simulated=True)
    started = start_execution(bench.web, document, asked, bench.now)
    return bench.run(started.id)


def _provider_ids(bench: Bench, execution_id: str) -> set[str]:
    with bench.database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT left(provider_id, 5) FROM deliveries WHERE execution_id = %s", [execution_id]
        )
        return {row[0] for row in cursor}


@pytest.mark.parametrize("mode", list(Mode))
def test_no_mode_that_is_simulated_delivers(mode: Mode) -> None:
    assert not delivers(simulate(mode))


def test_it_walks_every_phase_and_tells_outcomes_but_nothing_leaves(
    bench: Bench, cadence_database: Database
) -> None:
    execution = _simulate(bench)

    assert execution.mode is Mode.SIMULATION
    assert execution.phase is Phase.COMPLETED
    assert phases(bench, execution.id)[-3:] == [
        "cancellation_window",
        "live_execution",
        "completed",
    ]
    funnel = bench.funnel(execution.id)
    assert funnel["sent"] == funnel["distinct"] > 0
    assert _provider_ids(bench, execution.id) == {"test-"}
    assert messages(bench) == []
    assert history(cadence_database) == []
    with cadence_database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM reservations")
        assert cursor.fetchone() == (0,)


def test_agreed_words_in_a_device_token_meet_their_faults(bench: Bench) -> None:
    bench.write_script(FAULTY)

    funnel = bench.funnel(_simulate(bench).id)

    assert (funnel["sent"], funnel["failed"], funnel["inDoubt"]) == (1, 2, 1)


def test_what_is_unavailable_is_tried_again_until_its_time_is_up(bench: Bench) -> None:
    bench.write_script(FAULTY.replace("simulate-refused", "simulate-unavailable"))
    soon = RetryPolicy(backoff=timedelta(seconds=1), budget=timedelta(seconds=5))
    bench.change(limits=replace(bench.context.limits, retry=soon))

    execution = _simulate(bench)

    assert execution.phase is Phase.COMPLETED
    assert bench.funnel(execution.id)["failed"] == 2


def test_its_test_sends_are_simulated_too_and_told_to_nobody(
    bench: Bench, cadence_database: Database
) -> None:
    execution = _simulate(bench, settings={"testUserIds": [str(ALICE)], "requireTestFirst": False})
    bench.now += timedelta(minutes=10)

    assert execution.phase is Phase.COMPLETED
    assert track_sends(bench.context) == 0
    assert messages(bench) == []
    assert history(cadence_database) == []


def test_it_runs_beside_the_live_execution_of_its_automation(bench: Bench) -> None:
    live = bench.start()
    simulated = _simulate(bench)

    assert simulated.phase is Phase.COMPLETED
    assert bench.run(live).phase is Phase.COMPLETED


def test_it_is_in_no_statistics_and_never_over_a_cap(bench: Bench) -> None:
    bench.change(cadence=AWAY)

    execution = _simulate(bench)

    assert execution.uncapped_reason
    assert count_over_cap(bench.context) == 0


def test_what_it_finds_is_posted_to_nobody(bench: Bench) -> None:
    alarm = {"alertThresholds": {"audienceSize": 1}}
    nowhere = listening_for_findings(bench, "http://127.0.0.1:9/never")
    execution = _simulate(bench, settings={"safeguards": alarm})
    with bench.database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM violations WHERE execution_id = %s", [execution.id])
        found = cursor.fetchone()

    assert found != (0,)
    assert send_notices(bench.context, nowhere) == 0
    with bench.database.transaction() as connection:
        assert fetch_value(connection, "SELECT count(*) FROM alert_deliveries") == 0
