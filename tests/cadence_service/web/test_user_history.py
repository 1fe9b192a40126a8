"""GET /users/<id>/history: all that the cadence service knows of one user."""

import re
from datetime import timedelta
from hashlib import sha256
from typing import Any

from flask.testing import FlaskClient

from cadence_contract import HISTORY_KINDS
from cadence_service.adapters.user_history import (
    PARTS,
    HistoryKind,
    HistoryWindow,
)
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from chassis.rows import execute, fetch_values
from tests.cadence_service.history import record
from tests.people import ALICE, BOB

NOW = utc_now().replace(microsecond=0)
TEXTS = {"pushTitle": "T", "pushBody": "B", "audienceDescription": "A"}


def history(cadence: FlaskClient, **query: object) -> dict[str, Any]:
    answer = cadence.get(f"/users/{ALICE}/history", query_string=query)
    assert answer.status_code == 200, answer.text
    found = answer.get_json()
    assert isinstance(found, dict)
    return found


def reserve(cadence: FlaskClient, key: str) -> None:
    body = {
        "userIds": [str(ALICE), str(BOB)],
        "layerId": 3,
        "scheduledFor": (NOW + timedelta(minutes=5)).isoformat(),
        "reservation": {"key": key},
    }
    assert cadence.post("/filter-audience", json=body).status_code == 200


def test_a_user_whom_nobody_knows_has_no_history(cadence: FlaskClient) -> None:
    assert history(cadence) == {"entries": [], "nextCursor": None}


def test_a_notification_says_its_texts_and_the_key_of_its_caller(cadence: FlaskClient) -> None:
    body = {"userId": str(ALICE), "layerId": 2, "sentAt": NOW.isoformat(), **TEXTS}
    cadence.post("/track-notification", json={**body, "idempotencyKey": "news@1/1/live/x"})

    (entry,) = history(cadence)["entries"]

    assert (entry["kind"], entry["at"], entry["layerId"]) == ("notification", NOW.isoformat(), 2)
    assert (entry["pushTitle"], entry["audienceDescription"]) == ("T", "A")
    assert entry["keyDigests"] == [sha256(b"news@1/1/live/x").hexdigest()]
    assert entry["reservationKey"] is None


def test_a_slot_and_an_exclusion_name_the_reservation(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    reserve(cadence, "news@1/1/0")
    slot = history(cadence)["entries"]
    reserve(cadence, "news@2/1/0")

    both = history(cadence)["entries"]

    assert [(one["kind"], one["reservationKey"]) for one in slot] == [("slot", "news@1/1/0")]
    (exclusion,) = [one for one in both if one["kind"] == "exclusion"]
    assert exclusion["reservationKey"] == "news@2/1/0"
    assert exclusion["rule"] == "layer_3_cooldown_hours"
    assert exclusion["countedSends"] == [(NOW + timedelta(minutes=5)).isoformat()]
    assert exclusion["nextEligibleAt"] > exclusion["countedSends"][0]


def test_pages_have_every_entry_once_even_of_one_instant(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    for _ in range(5):
        record(database, ALICE, 1, NOW)
    record(database, ALICE, 1, NOW - timedelta(days=20))
    record(database, BOB, 1, NOW)

    page = history(cadence, limit=2)
    found = page["entries"]
    while page["nextCursor"]:
        page = history(cadence, limit=2, cursor=page["nextCursor"])
        found += page["entries"]

    assert len(found) == len({one["id"] for one in found}) == 6
    assert [one["at"] for one in found] == sorted((one["at"] for one in found), reverse=True)


def test_a_period_has_its_beginning_and_not_its_end(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    for days in range(4):
        record(database, ALICE, 1, NOW - timedelta(days=days))
    since, until = NOW - timedelta(days=2), NOW

    found = history(cadence, **{"from": since.isoformat(), "until": until.isoformat()})

    instants = [(NOW - timedelta(days=days)).isoformat() for days in (1, 2)]
    assert [one["at"] for one in found["entries"]] == instants


def test_bad_questions_are_refused_with_the_field(cadence: FlaskClient) -> None:
    for query in ("cursor=x", "cursor=2026-01-01T00:00:00|x", "limit=0", "limit=1001", "from=x"):
        answer = cadence.get(f"/users/{ALICE}/history?{query}")
        assert answer.status_code == 400, query
        assert query.partition("=")[0] in answer.text
    assert cadence.get("/users/alice/history").status_code == 404


def test_each_part_is_found_by_an_index_of_the_user(database: BulkDatabase) -> None:
    window = HistoryWindow(since=NOW - timedelta(days=900), until=NOW, before=None, limit=50)
    with database.transaction() as connection:
        for statement in CROWD.split(";"):
            execute(connection, statement, {"now": NOW})
        execute(connection, "SET LOCAL enable_seqscan = off")  # but for tables without an index
        plans = [
            "\n".join(fetch_values(connection, f"EXPLAIN {sql}", window.values(ALICE)))
            for sql in PARTS.values()
        ]

    assert len(plans) == len(HistoryKind)
    for plan in plans:
        assert "Seq Scan" not in plan
        assert re.search(r"Index Cond: .*user_id = ", plan), plan


#: Rows of 20,000 other users in every table that is read.
CROWD = """
    INSERT INTO reservations (key, layer_id, scheduled_for, rule_set, state, expires_at,
                              body_digest)
    SELECT 'crowd/' || n, 3, %(now)s, 1, 'reserved', %(now)s + interval '1 day', 'x'
      FROM generate_series(1, 2000) n;
    INSERT INTO held_slots
    SELECT gen_random_uuid(), r.id FROM reservations r, generate_series(1, 10);
    INSERT INTO reservation_exclusions
    SELECT r.id, gen_random_uuid(), 0, 'x', '{}', %(now)s
      FROM reservations r, generate_series(1, 10);
    INSERT INTO user_notifications (user_id, sent_at, layer_id)
    SELECT gen_random_uuid(), %(now)s - n * interval '1 minute', 3
      FROM generate_series(1, 20000) n;
    INSERT INTO notification_keys
    SELECT gen_random_uuid(), 'x', %(now)s FROM generate_series(1, 20000);
    ANALYZE
"""


def test_the_contract_names_every_kind() -> None:
    assert tuple(HistoryKind) == HISTORY_KINDS
