"""A busy installation: the user that all of it knows, among others, and where the user stands."""

import gzip
import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

from psycopg2.extras import Json

from chassis.rows import execute, fetch_all, fetch_value
from push_blaster.adapters.access.audit_table import COLUMNS
from push_blaster.adapters.audiences.uploads import keep_upload
from push_blaster.adapters.automations.automation_document import complete_document
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.csv_cells import write_csv
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.adapters.devices.opt_out_table import upsert_opt_outs
from push_blaster.adapters.engagement.event_inbox import insert_events
from push_blaster.adapters.engagement.opt_out_tap_table import TapKey, insert_taps
from push_blaster.adapters.transports.file_transport import FileTransport
from push_blaster.adapters.users.erasure_table import select_erasure
from push_blaster.domain.devices.opt_out import OptOut, Scope
from push_blaster.domain.engagement.event import Event, EventKind
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.users.erasure import Erasure
from push_blaster.use_cases.automations.keep_versions import VersionRecorder
from push_blaster.use_cases.cadence.track_sends import track_sends
from push_blaster.use_cases.engagement.count_results import count_results
from push_blaster.use_cases.engagement.fold_reports import fold_reports
from push_blaster.use_cases.engagement.take_conversions import TakenConversions, take_conversions
from push_blaster.use_cases.executions.start_execution import StartRequest, start_execution
from push_blaster.use_cases.users.erase_user import ask_for_erasure, erase_users
from tests.push_blaster.bench import Bench, an_automation_document
from tests.push_blaster.use_cases.executions.resuming import resume, stop

FIRST = UUID("7e57ab1e-c0de-4000-8000-00000000a000").int
#: The user who is erased, with the texts by which a person would know the user.
USER = UUID(int=FIRST + 7)
NAME = f"Name {USER.int}"
TOKEN = f"token-{USER.int}"
OTHER = UUID(int=FIRST + 8)
USERS = {"first": str(FIRST), "users": "40"}


def make_busy(bench: Bench) -> list[str]:
    """Let an experiment run, a send be stopped and resumed, and every table know the user."""
    bench.change(transport=FileTransport(bench.folder / "messages.jsonl"))
    (bench.folder / "sent").mkdir(exist_ok=True)
    _register(bench)
    with bench.database.transaction() as connection:
        opt_out = OptOut(user_id=USER, scope=Scope.LAYER, target="2", set_at=bench.now)
        upsert_opt_outs(connection, [opt_out])
        insert_taps(connection, [TapKey(USER, 1, 1, Scope.LAYER, "")], bench.now)
    executions = [*_run_experiment(bench), *_stop_and_resume(bench), _send_upload(bench)]
    track(bench)
    report(bench, executions[0], [USER, OTHER])
    _let_wait(bench, executions[0])
    for text in _insert(bench, executions[0]):
        with bench.database.transaction() as connection:
            execute(connection, *text)
    _write_files(bench)
    return executions


def _register(bench: Bench) -> None:
    devices = [Device(TOKEN, USER), Device(f"{TOKEN}-old", USER), Device("another-token", OTHER)]
    with bench.database.transaction() as connection:
        upsert_devices(connection, devices, bench.now)


def _run_experiment(bench: Bench) -> list[str]:
    push = {
        "variants": [{"id": "plain"}, {"id": "warm", "title": "Dear [[var:first_name]]"}],
        "experiment": {"testPercent": 50, "decideAfterMinutes": 60},
        "layerId": 1,
    }
    settings = {
        "testUserIds": [str(USER), str(OTHER)],
        "goal": {"name": "bought", "withinHours": 24},
    }
    given: dict[str, Any] = {"parameters": USERS, "pushes": [push], "settings": settings}
    files = AutomationFiles(bench.folder / "automations")
    files.on_change = VersionRecorder(bench.database, lambda: bench.now).note
    files.create(complete_document(an_automation_document(**given)))
    tested = bench.run(bench.start(Mode.TEST_LIVE_SEND, **given)).id
    return [bench.run(bench.start(**given)).id, tested]


def _stop_and_resume(bench: Bench) -> list[str]:
    stopped = bench.start(id="stopped", parameters=USERS, pushes=[{"layerId": 1}])
    lines = len((bench.folder / "messages.jsonl").read_text().splitlines())
    bench.work_until_sent(lines + 15)
    stop(bench, stopped)
    return [stopped, bench.run(resume(bench, stopped)).id]


def _send_upload(bench: Bench) -> str:
    """Send to a file; one of its cells has two lines."""
    rows = f'user_id,note\r\n{USER},"of {NAME},\r\nat home"\r\n{OTHER},"another\r\nnote"\r\n'
    upload = keep_upload(bench.folder, BytesIO(rows.encode()), "mine.csv")
    document = {
        **an_automation_document(id="uploaded", pushes=[{"title": "[[var:note]]", "layerId": 1}]),
        "audienceCriteria": {"uploadedFile": {"name": upload.name, "sha256": upload.sha256}},
    }
    AutomationFiles(bench.folder / "automations").create(complete_document(document))
    asked = StartRequest(mode=Mode.LIVE, is_simulated=False)
    return bench.run(
        start_execution(bench.web, complete_document(document), asked, bench.now).id
    ).id


def track(bench: Bench) -> None:
    """Let cadence know every send, and count what is to be counted."""
    bench.now += timedelta(minutes=1)
    track_sends(bench.context)
    for _ in range(20):
        count_results(bench.database)


def report(bench: Bench, execution_id: str, users: Sequence[UUID]) -> TakenConversions:
    """Let phones report that they opened the push, and a shop that the first user has bought."""
    with bench.database.transaction() as connection:
        sql = "SELECT number FROM executions WHERE id = %s"
        number = fetch_value(connection, sql, (execution_id,))
        opened = [_event(number, user, EventKind.OPENED, bench.now) for user in users]
        insert_events(connection, opened, bench.now)
    given = {"userId": str(users[0]), "goal": "bought", "value": 5, "key": f"of {users[0]}"}
    taken = take_conversions(bench.database, [given], bench.now)
    fold_reports(bench.database)
    return taken


def _let_wait(bench: Bench, execution_id: str) -> None:
    """Leave an event of the user in the inbox."""
    with bench.database.transaction() as connection:
        sql = "SELECT number FROM executions WHERE id = %s"
        number = fetch_value(connection, sql, (execution_id,))
        later = [_event(number, USER, EventKind.DISMISSED, bench.now)]
        insert_events(connection, later, bench.now)


def _event(number: int, user: UUID, kind: EventKind, at: datetime) -> Event:
    return Event(
        execution_number=number,
        position=1,
        variant=1,
        user_id=user,
        kind=kind,
        action="",
        at=at,
        counts=True,
    )


def _insert(bench: Bench, execution_id: str) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Yield statements that put the user where the story does not."""
    said, now = f"The user {str(USER).upper()} ({USER.hex})", bench.now
    yield (
        "INSERT INTO doubted_devices VALUES (%s, %s, %s, 'fcm', 'gone', %s)",
        (execution_id, TOKEN, str(USER), now),
    )
    yield (
        (
            "INSERT INTO test_devices (id, name, token, kind, user_id, created_at, created_by)"
            " VALUES (%s, 'mine', %s, 'fcm', %s, %s, 'me')"
        ),
        (str(uuid4()), TOKEN, str(USER), now),
    )
    yield "INSERT INTO over_cap VALUES (%s, 1, %s, '{rule}')", (execution_id, str(USER))
    yield (
        (
            "INSERT INTO execution_log (execution_id, at, level, stage, message)"
            " VALUES (%s, %s, 'info', 'batch', %s)"
        ),
        (execution_id, now, f"{said} at {TOKEN}"),
    )
    yield (
        (
            "INSERT INTO violations (execution_id, automation_id, type, severity, message, data,"
            " at, tell_after) VALUES (%s, 'news', 'odd', 'warning', %s, %s, %s, %s)"
        ),
        (execution_id, said, Json({"users": [said]}), now, now),
    )
    yield (
        (
            "INSERT INTO alerts (execution_id, event, at, tell_after, facts)"
            " VALUES (%s, 'failure', %s, %s, %s)"
        ),
        (execution_id, now, now, Json({"reason": said})),
    )
    yield (
        "WITH d AS (INSERT INTO alert_destinations (name, kind, address, events, modes, since)"
        " VALUES ('mine', 'slack', 'x', '{}', '{}', %s) RETURNING id)"
        " INSERT INTO alert_deliveries (destination_id, execution_id, body, raised_at, next_at)"
        " SELECT id, %s, %s, %s, %s FROM d",
        (now, execution_id, Json({"text": said}), now, now),
    )
    yield (
        "UPDATE execution_pushes SET bad_rows = %s WHERE execution_id = %s",
        (Json([{"line": 3, "problem": f"duplicate: {USER}"}]), execution_id),
    )
    yield "INSERT INTO dismissals VALUES (%s, NULL, %s, 'me', %s)", (execution_id, said, now)
    yield "INSERT INTO emergency_stops VALUES (%s, %s, %s)", (now, said, now)
    yield (
        (
            "INSERT INTO execution_stops (execution_id, phase, reason, asked_at)"
            " VALUES ('gone', 'cancelled', %s, %s)"
        ),
        (said, now),
    )
    yield "INSERT INTO idempotency_keys VALUES ('a route', %s, 'hash', %s)", (said, now)
    yield (
        (
            "INSERT INTO audit_log (at, method, path, endpoint, what, what_hash, request_id,"
            " detail, detail_hash) VALUES (%s, 'POST', '/x', 'x', %s, 'hash', 'r', %s, 'hash')"
        ),
        (now, said, said),
    )
    yield (
        "INSERT INTO unsent_forms VALUES ('hash', 'me', %s, 'sealed', 'sealed', %s)",
        (f"/users/{USER}", now),
    )
    yield (
        (
            "INSERT INTO script_runs (id, script_id, is_trial, parameters, folder, state, asked_at,"
            " audiences) VALUES (%s, 'users', true, %s, 'trials/1', 'succeeded', %s, %s)"
        ),
        (str(uuid4()), Json({"of": str(USER)}), now, Json([{"name": "all", "sample": _sample()}])),
    )


def _sample() -> list[dict[str, str]]:
    return [
        {"userId": str(USER), "first_name": NAME},
        {"userId": str(OTHER), "first_name": "Other"},
    ]


def _write_files(bench: Bench) -> None:
    """Put the user into the folders that the story does not fill."""
    folder = bench.folder
    for name in ("trials/1", "journal/an engine", "audit-log", "templates", "sent"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    utf16 = f"user_id,first_name\n{USER},{NAME}\n{OTHER},Öther 🌱\n".encode("utf-16")
    (folder / "trials/1/all.csv").write_bytes(utf16)
    (folder / "trials/1/odd.csv").write_bytes(f'user_id\n"{USER}\nno end of it\n'.encode())
    entry = [[USER.hex, "sent", "provider", None, [[TOKEN, "fcm", "gone"]]]]
    line = json.dumps(["2026-11-24T12:00:00+00:00", entry, []])
    (folder / "journal/an engine/left.jsonl").write_text(line + "\n")
    row = ["" if name != "what" else f"by {USER}" for name in COLUMNS]
    archive = gzip.compress(write_csv([COLUMNS, row]).encode())
    (folder / "audit-log/old.csv.gz").write_bytes(archive)
    (folder / "templates/t.json").write_text(json.dumps({"id": "t", "note": str(USER)}))
    messages = (folder / "messages.jsonl").read_bytes()
    (folder / "sent/messages.jsonl").write_bytes(messages)
    (folder / "messages.jsonl").unlink()


def erase(bench: Bench, user_id: UUID = USER, ago: timedelta = timedelta(0)) -> Erasure:
    """Ask for the erasure of the user, let an engine work, and return the receipt."""
    asked = ask_for_erasure(bench.database, user_id, bench.now - ago)
    return go_on(bench, asked)


def go_on(bench: Bench, asked: Erasure) -> Erasure:
    """Let an engine work on erasures; return what the receipt says then."""
    bench.now += timedelta(minutes=1)
    erase_users(bench.context, AutomationFiles(bench.folder / "automations"))
    return read_receipt(bench, asked)


def read_receipt(bench: Bench, asked: Erasure) -> Erasure:
    with bench.database.transaction() as connection:
        found = select_erasure(connection, asked.id)
    assert found
    return found


def sums(bench: Bench) -> list[tuple[object, ...]]:
    """Return what is counted, of results and by state of the ledger."""
    with bench.database.transaction() as connection:
        counts = fetch_all(connection, "SELECT c.* FROM result_counts c ORDER BY 1, 2, 3")
        ledger = """
            SELECT execution_id, position, is_test, state, count(*) FROM deliveries
             GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
        """
        return [*counts, *fetch_all(connection, ledger)]
