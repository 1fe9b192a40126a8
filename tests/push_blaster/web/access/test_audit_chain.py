"""The audit log tells the truth: a chain proves every entry, and nothing hides a change."""

import csv
import gzip
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.postgres import Database, DatabaseFaultError
from local_stack.embedded_postgres import EmbeddedPostgres
from push_blaster.adapters.access.audit_chain import chain_some, prune_links, select_prunable
from push_blaster.adapters.access.audit_table import insert_change, update_answer
from push_blaster.adapters.operations.retention import delete_changes
from push_blaster.app import create_app
from push_blaster.cli import main
from push_blaster.domain.access.audit import AuditedChange
from push_blaster.use_cases.access.audit_chain import chain_changes, verify_audit_log
from tests.databases import make_push_database
from tests.people import ALICE
from tests.push_blaster.settings import settings_for
from tests.push_blaster.web.recipes import create


@pytest.fixture
def number() -> str:
    return uuid4().hex


@pytest.fixture(scope="session")
def chained_url(postgres: EmbeddedPostgres) -> str:
    return make_push_database(postgres, "audit_chain_tests")


@pytest.fixture
def log(chained_url: str) -> Iterator[Database]:
    """An audit log of these tests' own: what they break stays broken."""
    database = Database(chained_url, max_connections=4)
    for table in ("audit_log", "audit_chain", "audit_checkpoints", "audit_unchained"):
        _run(database, f"ALTER TABLE {table} DISABLE TRIGGER USER")
        _run(database, f"DELETE FROM {table}")  # noqa: S608 - names of ours
        _run(database, f"ALTER TABLE {table} ENABLE TRIGGER USER")
    yield database
    database.close()


def _run(database: Database, statement: str, *values: object) -> None:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(statement, values or None)


def _write(database: Database, *whats: str, days_ago: int = 0) -> list[int]:
    at = utc_now() - timedelta(days=days_ago)
    ids = []
    for what in whats:
        change = AuditedChange(
            at=at,
            actor="alice",
            role="admin",
            method="POST",
            path="/x",
            endpoint="x",
            what=what,
            request_id="n",
        )
        with database.transaction() as connection:
            ids.append(insert_change(connection, change))
            update_answer(connection, ids[-1], 200, None, at, '{"changed": 1}')
    return ids


def _break(database: Database, statement: str, *values: object) -> None:
    """Do what only the owner of the tables can do."""
    _run(database, "ALTER TABLE audit_log DISABLE TRIGGER USER")
    _run(database, "ALTER TABLE audit_chain DISABLE TRIGGER USER")
    _run(database, statement, *values)


def test_a_log_that_nobody_touched_is_verified(log: Database) -> None:
    _write(log, "a", "b", "c")
    assert verify_audit_log(log).unchained == 3

    chain_changes(log, utc_now())
    done = verify_audit_log(log)

    assert (done.links, done.unchained, done.faults) == (3, 0, [])
    assert done.number == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE audit_log SET actor = 'bob' WHERE id = %s", "was changed"),
        ("UPDATE audit_log SET path = '/y' WHERE id = %s", "was changed"),
        ("UPDATE audit_log SET at = at - interval '1 s' WHERE id = %s", "was changed"),
        ("UPDATE audit_log SET status = 500 WHERE id = %s", "was changed"),
        ("UPDATE audit_log SET what = 'x' WHERE id = %s", "`what` of the entry"),
        ("UPDATE audit_log SET what = 'x', what_hash = 'y' WHERE id = %s", "was changed"),
        ("UPDATE audit_log SET detail = 'x' WHERE id = %s", "`detail` of the entry"),
        ("UPDATE audit_log SET body_hash = 'x' WHERE id = %s", "was changed"),
        ("DELETE FROM audit_log WHERE id = %s", "was deleted"),
        ("DELETE FROM audit_chain WHERE row_id = %s", "are missing"),
    ],
)
def test_what_the_owner_of_the_tables_changes_is_found(
    log: Database, statement: str, fault: str
) -> None:
    _, second, _ = _write(log, "a", "b", "c")
    chain_changes(log, utc_now())

    _break(log, statement, second)

    assert fault in " ".join(verify_audit_log(log).faults)


def test_entries_that_were_taken_from_the_end_are_found_by_an_earlier_head(log: Database) -> None:
    *_, last = _write(log, "a", "b", "c")
    chain_changes(log, utc_now())
    done = verify_audit_log(log)
    head = f"{done.number}:{done.hash}"
    assert verify_audit_log(log, head).faults == []

    _break(log, "DELETE FROM audit_chain WHERE row_id = %s", last)
    _break(log, "DELETE FROM audit_log WHERE id = %s", last)

    assert "entries were taken away" in " ".join(verify_audit_log(log, head).faults)


def test_a_content_can_be_blanked_without_breaking_the_chain(log: Database) -> None:
    _, second = _write(log, "a", "b")
    chain_changes(log, utc_now())

    _run(log, "UPDATE audit_log SET what = '', detail = '' WHERE id = %s", second)

    assert verify_audit_log(log).faults == []
    for column in ("what", "what_hash", "actor"):
        with pytest.raises(DatabaseFaultError, match="append-only"):
            _run(log, f"UPDATE audit_log SET {column} = 'forged'")  # noqa: S608 - names of ours


def test_an_answer_cannot_be_added_to_an_entry_in_the_chain(log: Database) -> None:
    (row,) = _write(log, "a")
    _break(log, "UPDATE audit_log SET status = NULL, answered_at = NULL WHERE id = %s", row)
    _run(log, "ALTER TABLE audit_log ENABLE TRIGGER USER")
    chain_changes(log, utc_now() + timedelta(days=2))

    with pytest.raises(DatabaseFaultError, match="append-only"), log.transaction() as connection:
        update_answer(connection, row, 200, None, utc_now())


def test_an_entry_without_an_answer_waits_for_its_link(log: Database) -> None:
    with log.transaction() as connection:
        change = AuditedChange(
            at=utc_now(),
            actor=None,
            role=None,
            method="POST",
            path="/x",
            endpoint="x",
            what="{}",
            request_id="n",
        )
        upload, _ = (insert_change(connection, change) for _ in range(2))

    chain_changes(log, utc_now() + timedelta(hours=6))
    waits = verify_audit_log(log)
    with log.transaction() as connection:  # a large file came slowly
        update_answer(connection, upload, 200, None, utc_now(), '{"files": []}')
    chain_changes(log, utc_now() + timedelta(hours=25))

    assert (waits.links, waits.unchained) == (0, 2)
    assert verify_audit_log(log).links == 2
    assert verify_audit_log(log).faults == []


def test_many_processes_chain_each_entry_once(log: Database) -> None:
    with ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(_write, log, *map(str, range(20))) for _ in range(2)]
        chainers = [pool.submit(chain_changes, log, utc_now()) for _ in range(10)]
        assert [len(writer.result()) for writer in writers] == [20, 20]
        assert [chainer.result() for chainer in chainers] == [None] * 10
    chain_changes(log, utc_now())

    done = verify_audit_log(log)

    assert (done.links, done.unchained, done.faults) == (40, 0, [])


def test_appending_waits_for_nobody_who_chains(log: Database) -> None:
    _write(log, "a")
    began_at = utc_now()
    with log.transaction() as connection:
        assert chain_some(connection, utc_now()) == 1
        _write(log, "b")
        chain_changes(log, utc_now())

    assert utc_now() - began_at < timedelta(seconds=5)


def test_pruning_leaves_a_checkpoint_from_which_the_chain_goes_on(log: Database) -> None:
    _write(log, "old", "older", days_ago=800)
    _write(log, "new")
    chain_changes(log, utc_now())
    with log.transaction() as connection:
        rows = select_prunable(connection, utc_now() - timedelta(days=700), 10)
        assert len(rows) == 2
        prune_links(connection, [row[0] for row in rows], utc_now())
        delete_changes(connection, [row[0] for row in rows])
    _write(log, "newer")
    chain_changes(log, utc_now())

    done = verify_audit_log(log)

    assert (done.number, done.links, done.faults) == (4, 3, [])


def test_old_entries_amid_young_ones_are_pruned_too(log: Database) -> None:
    _write(log, "young")
    ids = _write(log, "old", days_ago=800)
    _write(log, "young")
    chain_changes(log, utc_now())
    with log.transaction() as connection:
        prune_links(connection, ids, utc_now())
        delete_changes(connection, ids)

    assert verify_audit_log(log).faults == []
    with pytest.raises(DatabaseFaultError, match="append-only"):
        _run(log, "DELETE FROM audit_chain")


def test_the_command_verifies_and_the_export_carries_the_chain(
    log: Database, chained_url: str, tmp_path: Path, number: str
) -> None:
    client = create_app(settings_for(chained_url, tmp_path)).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = "Bearer admin"
    client.post("/api/devices", json={}, headers={"X-Request-Id": number})
    environment = {
        "PUSH_BLASTER_DATABASE_URL": chained_url,
        "PUSH_DATA_DIR": str(tmp_path),
        "PUSH_ADMIN_TOKEN": "token-of-the-tests",
        "CADENCE_API_TOKEN": "token-of-the-tests",
    }

    said = CliRunner(env=environment).invoke(main, ["audit", "verify"])

    assert said.exit_code == 0, said.output
    assert "links verified, 0 entries without a link yet. Head: " in said.output
    export = client.get("/api/audit-log/export.csv", query_string={"path": "/api/devices"})
    (row,) = [r for r in csv.DictReader(io.StringIO(export.text)) if r["request_id"] == number]
    assert len(row["chain_hash"]) == len(row["what_hash"]) == 64
    assert int(row["chain_no"].lstrip("'")) > 0


def _listed(client: FlaskClient, number: str) -> dict[str, Any]:
    found = client.get("/api/audit-log?limit=500").get_json()["changes"]
    (change,) = [one for one in found if one["requestId"] == number]
    return dict(change)


@pytest.mark.parametrize("junk", [51, 5_000])
def test_no_junk_hides_the_field_that_changed(client: FlaskClient, number: str, junk: int) -> None:
    create(client)
    body = {**{f"junk{n:05}": "x" * 50 for n in range(junk)}, "status": "paused"}

    client.put("/api/automation/recipes/news", json=body, headers={"X-Request-Id": number})

    change = _listed(client, number)
    assert '"status"' in change["what"] or '"body.status"' in change["what"]
    assert '"status"' in change["detail"] or "news.status" in change["detail"]


def test_a_change_of_an_automation_tells_each_field_before_and_after(
    client: FlaskClient, number: str
) -> None:
    create(client, name="Before")

    client.put(
        "/api/automation/recipes/news",
        json={"name": "After", "settings": {"testUserIds": [str(ALICE)]}},
        headers={"X-Request-Id": number},
    )

    change = _listed(client, number)
    changed = json.loads(change["detail"])["changed"]["automations/news"]
    assert changed["name"] == {"before": "Before", "after": "After"}
    assert changed["settings.testUserIds"]["after"][0].startswith("user:")
    assert str(ALICE) not in change["what"] + change["detail"]


def test_a_body_is_proved_by_its_hash_and_claims_are_only_remarks(
    client: FlaskClient, number: str
) -> None:
    body = json.dumps({"by": "the boss", "changedBy": "x", "reason": "r"}).encode()

    client.post(
        "/api/automation/emergency-stop",
        data=body,
        content_type="application/json",
        headers={"X-Request-Id": number, "Authorization": "Bearer operator"},
    )

    change = _listed(client, number)
    assert change["actor"] == "operator"
    assert json.loads(change["what"])["claimed"] == {"by": "the boss", "changedBy": "x"}
    assert json.loads(change["what"])["body"] == {"reason": "r"}
    assert change["bodyHash"] == sha256(body).hexdigest()


def test_an_upload_is_recorded_by_fields_names_sizes_and_hashes(
    client: FlaskClient, number: str
) -> None:
    content = f"user_id,name\n{ALICE},A\n".encode()
    form = {"title": "Hi", "body": "Text", "layerId": "3", "dryRun": "true"}

    client.post(
        "/api/send-push",
        data={**form, "file": (BytesIO(content), "users.csv")},
        headers={"X-Request-Id": number},
    )

    change = _listed(client, number)
    detail = json.loads(change["detail"])
    assert detail["fields"] == form
    assert detail["files"] == [
        {
            "field": "file",
            "name": "users.csv",
            "sha256": sha256(content).hexdigest(),
            "bytes": len(content),
        }
    ]
    assert str(ALICE) not in change["what"] + change["detail"]


def test_an_upload_that_is_no_form_is_recorded_by_its_size_and_hash(
    client: FlaskClient, number: str
) -> None:
    content = f"userId,token\n{ALICE},in-a-file\n".encode()
    packed = {"Content-Encoding": "gzip", "X-Request-Id": f"{number}-packed"}

    for body, headers in (
        (content, {"X-Request-Id": number}),
        (content, {"X-Request-Id": f"{number}-keyed", "Idempotency-Key": number}),
        (gzip.compress(content), packed),
    ):
        path = "/api/devices/import?dryRun=true"
        client.post(path, data=body, content_type="text/csv", headers=headers)

    told = {"upload": {"sha256": sha256(content).hexdigest(), "bytes": len(content)}}
    for of_request in (number, f"{number}-keyed", f"{number}-packed"):
        assert json.loads(_listed(client, of_request)["detail"]) == told


def test_users_are_told_by_a_salted_hash_that_is_the_same_for_the_same_user(
    client: FlaskClient, number: str
) -> None:
    for place, user in enumerate((str(ALICE), str(ALICE).upper())):
        client.delete(
            "/api/devices",
            query_string={"userId": user},
            headers={"X-Request-Id": f"{number}-{place}"},
        )

    first, second = (json.loads(_listed(client, f"{number}-{n}")["what"]) for n in range(2))

    assert first == second
    assert first["query"]["userId"].startswith("user:")
