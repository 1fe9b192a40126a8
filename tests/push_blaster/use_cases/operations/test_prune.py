"""Retention: old records are removed, but never a record that an execution may still need."""

import csv
import gzip
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from chassis.clock import utc_now
from chassis.postgres import Database, DatabaseFaultError
from push_blaster.adapters.access.audit_table import AuditQuery, insert_change, select_changes
from push_blaster.adapters.access.person_table import save_person, select_people
from push_blaster.adapters.audiences.uploads import keep_upload
from push_blaster.adapters.automations.automation_document import complete_document
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import (
    mark_devices_dead,
    select_devices_of,
    upsert_devices,
)
from push_blaster.adapters.executions.execution_view import ExecutionNotFoundError
from push_blaster.adapters.operations.retention import delete_changes
from push_blaster.cli import main
from push_blaster.domain.access.audit import AuditedChange
from push_blaster.domain.access.person import Identity
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from push_blaster.domain.operations.retention import Retention
from push_blaster.use_cases.executions.start_execution import StartRequest, start_execution
from push_blaster.use_cases.operations.prune import Kept, plan_pruning, prune
from tests.builders import NOON, a_document, died
from tests.people import ALICE
from tests.push_blaster.bench import Bench
from tests.push_blaster.settings import environ_for
from tests.push_blaster.use_cases.executions.resuming import resume, sent, stopped_half_way

DAY = timedelta(days=1)
RETENTION = Retention(executions=100 * DAY, audiences=10 * DAY, dead_devices=50 * DAY)
#: Of executions of a dozen years ago there are no changes of others in the log.
LONG_AGO = datetime(2012, 5, 20, 12, tzinfo=UTC)


@pytest.fixture
def kept(bench: Bench) -> Kept:
    return Kept(database=bench.database, data_folder=bench.folder, retention=RETENTION)


def ran(bench: Bench, automation_id: str = "news", days_ago: int = 0) -> str:
    """Run an automation so many days before noon, and come back to noon; return the execution."""
    bench.now = NOON - days_ago * DAY
    execution_id = bench.start(id=automation_id)
    bench.run(execution_id)
    bench.now = NOON
    return execution_id


def ids(bench: Bench) -> list[str]:
    return [execution.id for execution in bench.executions()]


def folders(bench: Bench) -> set[str]:
    return {folder.name for folder in (bench.folder / "executions").iterdir()}


def rows_of(bench: Bench, table: str, execution_id: str) -> int:
    with bench.database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM {table} WHERE execution_id = %s",  # noqa: S608 - our own names
            (execution_id,),
        )
        row = cursor.fetchone()
    return row[0] if row else 0


def test_an_execution_past_keeping_goes_whole_and_younger_ones_stay(
    bench: Bench, kept: Kept
) -> None:
    old, young = ran(bench, days_ago=101), ran(bench, days_ago=99)

    done = prune(kept, NOON)

    assert done.executions == [old]
    assert done.script_runs == 1
    assert ids(bench) == [young]
    for table in ("deliveries", "execution_log", "script_runs", "execution_phases"):
        assert rows_of(bench, table, old) == 0, table
        assert rows_of(bench, table, young) > 0, table
    with pytest.raises(ExecutionNotFoundError):
        bench.execution(old)
    assert plan_pruning(kept, NOON).executions == []


def test_audiences_go_sooner_but_for_the_last_of_each_automation(bench: Bench, kept: Kept) -> None:
    first, last = ran(bench, days_ago=30), ran(bench, days_ago=20)
    other = ran(bench, "other", days_ago=40)
    young = [ran(bench, "other", days_ago=days) for days in (9, 8)]

    done = prune(kept, NOON)

    assert {folder.name for folder in done.folders} == {first, other}
    assert folders(bench) == {last, *young}
    assert bench.funnel(first)["sent"] == 10


def test_people_go_when_the_audit_log_names_them_no_more(bench: Bench, kept: Kept) -> None:
    anna = Identity(issuer="x", subject="1", name="Anna", email="a@x.org", role="viewer")
    bert = replace(anna, subject="2", name="Bert")
    with bench.database.transaction() as connection:
        save_person(connection, anna, NOON - RETENTION.audit_log - 40 * DAY, signs_in=True)
        save_person(connection, bert, NOON - RETENTION.audit_log + DAY, signs_in=True)

    prune(kept, NOON)

    with bench.database.transaction() as connection:
        found = select_people(connection, LONG_AGO, NOON, NOON)
        again = save_person(connection, replace(anna, subject="3"), NOON, signs_in=True)
    assert [one.person.label for one in found] == ["Bert (a@x.org)"]
    assert again.label == "Anna (a@x.org)"


def test_a_folder_of_which_nobody_knows_goes_too(bench: Bench, kept: Kept) -> None:
    known = ran(bench)
    (bench.folder / "executions" / "left@20261124T120000Z" / "attempt-1").mkdir(parents=True)

    prune(kept, NOON)

    assert folders(bench) == {known}


def test_what_runs_is_never_touched_however_long_it_has_run(bench: Bench, kept: Kept) -> None:
    running = bench.start(parameters={"users": 100})
    bench.work_until_sent(30)

    prune(kept, NOON + 500 * DAY)

    assert folders(bench) == {running}
    assert bench.run(running).phase is Phase.COMPLETED
    assert set(sent(bench).values()) == {1}


def test_what_may_be_gone_on_with_keeps_all_that_this_needs(bench: Bench, kept: Kept) -> None:
    stopped = stopped_half_way(bench)
    later = bench.now + 99 * DAY

    prune(kept, later)

    bench.now = later
    assert bench.run(resume(bench, stopped)).phase is Phase.COMPLETED
    assert set(sent(bench).values()) == {1}
    assert len(sent(bench)) == 100


def test_so_does_what_such_a_one_took_its_audience_from(bench: Bench, kept: Kept) -> None:
    first = stopped_half_way(bench)
    bench.now += 50 * DAY
    second = resume(bench, first)

    prune(kept, bench.now + 60 * DAY)

    assert first in folders(bench)
    assert bench.run(second).phase is Phase.COMPLETED
    assert set(sent(bench).values()) == {1}


def test_once_nobody_may_go_on_with_it_any_more_it_goes(bench: Bench, kept: Kept) -> None:
    stopped = stopped_half_way(bench)

    done = prune(kept, bench.now + 101 * DAY)

    assert done.executions == [stopped]
    assert folders(bench) == set()
    assert rows_of(bench, "deliveries", stopped) == 0


def test_a_large_ledger_goes_in_pieces_and_a_broken_off_pruning_goes_on(
    bench: Bench, kept: Kept
) -> None:
    old = ran(bench, days_ago=101)
    with bench.database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO deliveries (execution_id, position, is_test, batch, user_id, state,
                                    claimed_at)
            SELECT %(id)s, 1, false, n / 2500, gen_random_uuid(), 'sent', %(at)s
              FROM generate_series(1, 25000) n;
            DELETE FROM execution_log WHERE execution_id = %(id)s
            """,
            {"id": old, "at": NOON},
        )

    prune(kept, NOON)

    assert rows_of(bench, "deliveries", old) == 0
    assert ids(bench) == []


def an_upload(bench: Bench, content: bytes, days_ago: float) -> Path:
    upload = keep_upload(bench.folder, io.BytesIO(content), "users.csv")
    path = bench.folder / "uploads" / f"{upload.sha256}.csv"
    at = (NOON - days_ago * DAY).timestamp()
    os.utime(path, (at, at))
    return path


def test_uploads_stay_while_they_are_young_named_by_a_file_or_awaited(
    bench: Bench, kept: Kept
) -> None:
    young, old, named, awaited = (
        an_upload(bench, f"user_id\n{n}\n".encode(), days)
        for n, days in enumerate((9.9, 10.1, 20, 30))
    )
    (bench.folder / "automations").mkdir()
    broken = bench.folder / "automations" / "broken.json"
    broken.write_text(f'{{"sha256": "{named.stem}"')
    criteria = {"uploadedFile": {"name": "users.csv", "sha256": awaited.stem}}
    document = complete_document(a_document(audienceCriteria=criteria))
    asked = StartRequest(mode=Mode.LIVE, is_simulated=False)
    start_execution(bench.web, document, asked, NOON)

    done = prune(kept, NOON)

    assert done.uploads == [old]
    assert all(path.exists() for path in (young, named, awaited))


def test_devices_go_that_have_been_dead_for_long_and_no_other(bench: Bench, kept: Kept) -> None:
    with bench.database.transaction() as connection:
        alive = Device("alive", ALICE, last_seen_at=NOON - 500 * DAY)
        upsert_devices(connection, [alive], NOON - 500 * DAY)
        mark_devices_dead(connection, [died("early", "404")], NOON - 51 * DAY)
        mark_devices_dead(connection, [died("late", "404")], NOON - 49 * DAY)

    done = prune(kept, NOON)

    assert done.dead_devices == 1
    with bench.database.transaction() as connection:
        left = select_devices_of(connection, ALICE)
    assert {device.token for device in left} == {"alive", "late"}
    assert plan_pruning(kept, NOON).dead_devices == 0


def written_down(database: Database, *times: datetime) -> list[int]:
    changes = [
        AuditedChange(
            at=at,
            actor="=alice",
            role="admin",
            method="POST",
            path="/x",
            endpoint="x",
            what="{}",
            request_id="r",
        )
        for at in times
    ]
    with database.transaction() as connection:
        return [insert_change(connection, change) for change in changes]


def test_the_audit_log_is_pruned_by_the_month_into_files(bench: Bench, kept: Kept) -> None:
    last_month = LONG_AGO.replace(month=4, day=30)
    old, *young = written_down(bench.database, last_month, LONG_AGO.replace(day=1), LONG_AGO)

    done = prune(kept, LONG_AGO + RETENTION.audit_log)

    assert done.changes == 1
    assert logged(bench.database) == young
    (file,) = (bench.folder / "audit-log").iterdir()
    assert file.name == f"2012-04-30_{old}-{old}.csv.gz"
    (row,) = csv.DictReader(io.StringIO(gzip.decompress(file.read_bytes()).decode()))
    assert (row["id"], row["actor"]) == (str(old), "'=alice")
    prune(kept, LONG_AGO + RETENTION.audit_log + 31 * DAY)
    assert logged(bench.database) == []


def logged(database: Database) -> Sequence[int]:
    query = AuditQuery(until=LONG_AGO + DAY, limit=10)
    with database.transaction() as connection:
        return sorted(change.id for change in select_changes(connection, query))


def test_nobody_deletes_a_change_of_the_last_year(bench: Bench) -> None:
    (young,) = written_down(bench.database, utc_now() - 364 * DAY)

    with (
        pytest.raises(DatabaseFaultError, match="append-only"),
        bench.database.transaction() as connection,
    ):
        delete_changes(connection, [young])


def test_the_command_tells_and_with_dry_run_only_tells(
    bench: Bench, push_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = ran(bench, days_ago=300)
    runner = CliRunner(env=environment(bench, push_url))

    told = runner.invoke(main, ["prune", "--dry-run"])
    there = ids(bench)
    done = runner.invoke(main, ["prune"])

    counts = (
        "1 execution, 1 folder of audiences, 0 uploads, 1 run of scripts, "
        "0 dead devices, 0 entries of the audit log, 0 versions of automations, "
        "0 weeks of events, results of 0 pushes.\n"
    )
    assert told.output == f"Would remove {counts}"
    assert there == [old]
    assert done.output == f"Removed {counts}"
    assert ids(bench) == []
    with bench.database.transaction() as connection:
        (change,) = select_changes(connection, AuditQuery(path="push-blaster prune"))
    assert "200 days" in change.what


def test_two_at_once_tell_what_each_of_them_removed(bench: Bench, kept: Kept) -> None:
    old = [ran(bench, f"news-{number}", days_ago=150) for number in range(6)]
    again = [ran(bench, f"news-{number}", days_ago=140) for number in range(6)]

    with ThreadPoolExecutor(2) as both:
        done = [running.result() for running in [both.submit(prune, kept, NOON) for _ in range(2)]]

    removed = [one for each in done for one in each.executions]
    assert sorted(removed) == sorted([*old, *again])
    folders_removed = [folder.name for each in done for folder in each.folders]
    assert len(folders_removed) == len(set(folders_removed))
    assert sum(each.script_runs for each in done) == len(removed)


def test_the_command_refuses_to_remove_nearly_everything(
    bench: Bench, push_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [ran(bench, f"news-{number}", days_ago=300) for number in range(22)]
    runner = CliRunner(env=environment(bench, push_url))

    refused = runner.invoke(main, ["prune"])
    too_few = runner.invoke(main, ["prune", "--yes-remove", "21"])
    assert sorted(ids(bench)) == sorted(old)
    done = runner.invoke(main, ["prune", "--yes-remove", "22"])

    assert (refused.exit_code, too_few.exit_code, done.exit_code) == (1, 1, 0), done.output
    assert "22 of 22 executions would go" in refused.output
    assert "--yes-remove 22" in refused.output
    assert ids(bench) == []


def environment(bench: Bench, push_url: str) -> dict[str, str]:
    return {**environ_for(push_url, bench.folder), "PUSH_KEEP_DAYS": "200"}
