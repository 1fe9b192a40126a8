"""Two versions at once, during an upgrade: the older one leaves alone what only the newer knows."""

from collections.abc import Iterator
from typing import Any

import pytest

from chassis.postgres import Database
from push_blaster.adapters.executions.execution_table import dispatch_executions
from push_blaster.adapters.executions.execution_view import NewerExecutionError
from push_blaster.domain.delivery.ledger import BatchKey
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.delivery.send_batch import send_batch
from push_blaster.use_cases.executions.advance_execution import advance_execution
from tests.push_blaster.bench import Bench

#: What a newer version may have written, of which this one knows nothing.
NEWER = {
    "phase": "UPDATE executions SET phase = 'warming_up' WHERE id = %(id)s",
    "mode": "UPDATE executions SET mode = 'live-to-a-tenth' WHERE id = %(id)s",
    "push status": "UPDATE execution_pushes SET status = 'held' WHERE execution_id = %(id)s",
    "setting": """
        UPDATE executions SET snapshot = jsonb_set(snapshot, '{settings,failPolicy}', '"ask"')
         WHERE id = %(id)s""",
}


@pytest.fixture
def newer_tables(database: Database) -> Iterator[None]:
    """The tables as a newer version has migrated them: they take what is not known yet."""
    names = {"executions": "phase", "execution_pushes": "status"}
    kept = {table: _read_check(database, table, column) for table, column in names.items()}
    for table, column in names.items():
        _run(database, f"ALTER TABLE {table} DROP CONSTRAINT {table}_{column}_check")
    yield
    _run(database, "TRUNCATE executions CASCADE")
    for table, column in names.items():
        _run(database, f"ALTER TABLE {table} ADD CONSTRAINT {table}_{column}_check {kept[table]}")


def _read_check(database: Database, table: str, column: str) -> str:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %(name)s",
            {"name": f"{table}_{column}_check"},
        )
        row = cursor.fetchone()
    assert row
    return str(row[0])


def _run(database: Database, sql: str, values: dict[str, Any] | None = None) -> None:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(sql, values)


def _read_row(database: Database, execution_id: str) -> tuple[Any, ...]:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT phase, mode, failures, fence, reason, ended_at, snapshot FROM executions"
            " WHERE id = %(id)s",
            {"id": execution_id},
        )
        row = cursor.fetchone()
    assert row
    return row


@pytest.mark.usefixtures("newer_tables")
@pytest.mark.parametrize("what", NEWER)
def test_an_execution_of_a_newer_version_is_left_to_it(bench: Bench, what: str) -> None:
    newer = bench.start(id="newer")
    known = bench.start(id="known")
    _run(bench.database, NEWER[what], {"id": newer})
    before = _read_row(bench.database, newer)

    assert advance_execution(bench.context, newer) is False, "a job that the newer one handed out"

    assert _read_row(bench.database, newer) == before
    assert [execution.id for execution in bench.executions()] == [known]
    with pytest.raises(NewerExecutionError, match="an engine of a newer version continues it"):
        bench.execution(newer)


@pytest.mark.usefixtures("newer_tables")
@pytest.mark.parametrize("what", ["phase", "mode"])
def test_a_phase_or_mode_of_a_newer_version_is_not_handed_out_and_others_go_on(
    bench: Bench, what: str
) -> None:
    newer = bench.start(id="newer")
    _run(bench.database, NEWER[what], {"id": newer})
    known = bench.start(id="known", parameters={"first": 101})

    assert bench.run(known).phase is Phase.COMPLETED

    with bench.database.transaction() as connection:
        assert dispatch_executions(connection, bench.now, bench.now) == []


@pytest.mark.usefixtures("newer_tables")
def test_a_batch_of_a_newer_version_is_left_to_it(bench: Bench) -> None:
    execution_id = bench.start(parameters={"users": 40})
    bench.work_until_sent(20)
    _run(bench.database, NEWER["setting"], {"id": execution_id})
    sent = len((bench.folder / "messages.jsonl").read_text().splitlines())

    send_batch(bench.context, BatchKey(execution_id, 1, 1))

    assert len((bench.folder / "messages.jsonl").read_text().splitlines()) == sent == 20
    assert _read_row(bench.database, execution_id)[0] == Phase.LIVE_EXECUTION


def test_fields_that_this_version_does_not_know_stay_in_the_snapshot(bench: Bench) -> None:
    execution_id = bench.start(
        pushes=[{"sound": "chime"}], settings={"quietDays": [6]}, colour="green"
    )

    assert bench.run(execution_id).phase is Phase.COMPLETED

    snapshot = _read_row(bench.database, execution_id)[-1]
    assert snapshot["colour"] == "green"
    assert snapshot["pushSequence"][0]["sound"] == "chime"
    assert snapshot["settings"]["quietDays"] == [6]
