"""The historical-data tools."""

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from typing import Any, Final
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from cadence_service.adapters.history_changes import select_changes
from cadence_service.use_cases.record_change import recorded
from chassis.bearer_auth import Role, required_role
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from chassis.rows import fetch_values
from tests.people import ALICE, BOB, CAROL

NOON = utc_now().replace(microsecond=0) - timedelta(hours=1)
HEADER = "user_id,layer_id,push_title,sent_at"


def restore(cadence: FlaskClient, text: str, **form: str) -> Any:
    file = (BytesIO(text.encode()), "history.csv")
    return cadence.post("/restore-historical-data", data={"file": file, **form})


def a_row(user_id: UUID = ALICE, hours_ago: int = 1, layer: int = 3, title: str = "Seeds") -> str:
    return f"{user_id},{layer},{title},{(NOON - timedelta(hours=hours_ago)).isoformat()}"


def count(database: BulkDatabase) -> int:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM user_notifications")
        row = cursor.fetchone()
    return int(row[0]) if row else 0


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (f"{BOB},3,a,0001-01-01T00:00+14:00", "between 1970 and now"),
        (f"{BOB},3,a,9999-12-31T23:00-12:00", "between 1970 and now"),
    ],
)
def test_a_row_that_no_database_keeps_is_bad_and_the_others_are_there(
    cadence: FlaskClient, database: BulkDatabase, row: str, said: str
) -> None:
    details = restore(cadence, "\n".join([HEADER, a_row(ALICE), row])).get_json()["details"]

    assert (details["validRows"], details["invalidCount"]) == (1, 1)
    assert details["errors"][0].startswith("Row 3: ")
    assert said in details["errors"][0]
    assert count(database) == 1


def test_an_instant_may_have_an_offset_that_postgresql_does_not_know(cadence: FlaskClient) -> None:
    answer = restore(cadence, f"{HEADER}\n{ALICE},3,Seeds,2026-11-20T12:00+19:00")

    assert answer.get_json()["details"]["insertedRows"] == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f'{BOB},3,"Seeds,2026-11-24T12:00:00Z', 'has a quote (") that is not closed'),
        (f'{BOB},3,"Seeds"x,2026-11-24T12:00:00Z', "text after the closing quote"),
        (f"{BOB},3,a\0b,2026-11-24", "NUL"),
    ],
)
def test_a_file_whose_rows_cannot_be_told_apart_is_refused_with_the_line(
    cadence: FlaskClient, database: BulkDatabase, line: str, said: str
) -> None:
    after = [a_row(UUID(int=n)) for n in range(1, 2_115)]

    refused = restore(cadence, "\n".join([HEADER, a_row(), line, *after]))

    assert refused.status_code == 400
    assert "history.csv, line 3: " in refused.get_json()["error"]
    assert said in refused.get_json()["error"]
    assert count(database) == 0, "no good row is swallowed, and none is kept"
    known = cadence.get("/imports").get_json()["imports"]
    assert all(one["state"] == "failed" and "line 3" in one["reason"] for one in known)


def test_a_header_that_is_no_csv_is_told_of(cadence: FlaskClient) -> None:
    answer = restore(cadence, HEADER + "," + "x" * 140_000)

    assert answer.status_code == 400
    assert "history.csv cannot be read: in the header" in answer.get_json()["error"]


def test_a_restored_history_counts_at_once(cadence: FlaskClient) -> None:
    answer = restore(cadence, "\n".join([HEADER, a_row(ALICE), a_row(BOB, hours_ago=100)]))

    details = answer.get_json()["details"]
    assert (details["totalRows"], details["validRows"], details["insertedRows"]) == (2, 2, 2)
    question = {"userIds": [str(ALICE), str(BOB)], "layerId": 3}
    assert cadence.post("/filter-audience", json=question).get_json()["eligibleUserIds"] == [
        str(BOB)
    ]


def test_good_rows_are_imported_and_each_bad_one_is_listed(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    text = "\n".join(
        [
            HEADER,
            a_row(),
            f"nobody,9,,{NOON.isoformat()}",
            f"{BOB},3abc,T,yesterday",
            f"{BOB},3,T",
            f"{BOB},3,T,{NOON.isoformat()},",
            a_row(CAROL, title='"Seeds, and more ""quoted"""'),
        ]
    )

    details = restore(cadence, text).get_json()["details"]

    assert details["errors"] == [
        "Row 3: user_id 'nobody' is no UUID; layer_id '9' is no layer (1 to 5); "
        "push_title is missing",
        "Row 4: layer_id '3abc' is no layer (1 to 5); sent_at 'yesterday' is no instant (ISO 8601)",
        "Row 5: sent_at is missing",
        "Row 6: 5 cells, 4 columns",
    ]
    assert (details["insertedRows"], details["invalidCount"]) == (2, 4)
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT push_title FROM notification_history WHERE user_id = %s", (CAROL,))
        assert cursor.fetchall() == [('Seeds, and more "quoted"',)]


def test_all_or_nothing_imports_nothing_if_a_row_is_bad(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    refused = restore(cadence, f"{HEADER}\n{a_row()}\nx,1,T,{NOON}", allOrNothing="true")

    assert refused.status_code == 400
    body = refused.get_json()
    assert "nothing was imported" in body["error"]
    assert body["details"]["invalidRows"] == [{"rowIndex": 3, "errors": ["user_id 'x' is no UUID"]}]
    assert count(database) == 0
    assert cadence.get("/imports").get_json()["imports"][0]["state"] == "failed"


def test_a_dry_run_says_the_same_and_keeps_nothing(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    text = f"{HEADER}\n{a_row()}\n{a_row()}\nx,1,T,{NOON}"

    rehearsed = restore(cadence, text, dryRun="true").get_json()["details"]
    assert count(database) == 0
    done = restore(cadence, text).get_json()["details"]

    assert {**rehearsed, "importId": None} == {**done, "importId": None}
    assert (done["insertedRows"], done["duplicatesSkipped"], done["invalidCount"]) == (1, 1, 1)


def test_a_second_import_of_the_same_file_is_all_duplicates(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    text = "\n".join([HEADER, a_row(ALICE), a_row(BOB), a_row(BOB, layer=2), a_row(CAROL)])

    first, second = (restore(cadence, text).get_json()["details"] for _ in range(2))

    assert (first["insertedRows"], first["duplicatesSkipped"]) == (3, 1)
    assert (second["insertedRows"], second["duplicatesSkipped"]) == (0, 4)
    assert count(database) == 3


def test_an_import_can_be_listed_and_undone(cadence: FlaskClient, database: BulkDatabase) -> None:
    kept = restore(cadence, f"{HEADER}\n{a_row(CAROL)}").get_json()["details"]["importId"]
    text = f"{HEADER}\n{a_row(ALICE)}\n{a_row(BOB)}"
    made = restore(cadence, text).get_json()["details"]
    path = f"/imports/{made['importId']}"

    listed = cadence.get(path).get_json()
    answers = [cadence.delete(path).get_json() for _ in range(2)]

    undone = cadence.get(path).get_json()
    assert (listed["state"], listed["fileName"], listed["insertedRows"]) == (
        "done",
        "history.csv",
        2,
    )
    assert (listed["caller"], listed["undoneBy"], listed["undoneAt"]) == ("admin", None, None)
    assert listed["sha256"] == sha256(text.encode()).hexdigest()
    assert undone["undoneBy"] == "admin"
    assert undone["undoneAt"] >= undone["endedAt"]
    assert answers == [{"removed": 2}, {"removed": 0}]
    assert [(i["id"], i["state"]) for i in cadence.get("/imports").get_json()["imports"]] == [
        (made["importId"], "undone"),
        (kept, "done"),
    ]
    assert count(database) == 1
    assert cadence.delete("/imports/99999").status_code == 404


@pytest.mark.parametrize(
    ("text", "said", "missing"),
    [
        ("", "history.csv is empty", []),
        ("user_id,User ID\n", "are one name", []),
        ("user_id,sent_at\n", "Missing columns: layer_id, push_title.", ["layer_id", "push_title"]),
    ],
)
def test_a_file_that_is_no_history_says_what_it_lacks(
    cadence: FlaskClient, text: str, said: str, missing: list[str]
) -> None:
    refused = restore(cadence, text)

    assert refused.status_code == 400
    assert said in refused.get_json()["error"]
    assert refused.get_json()["details"]["missingColumns"] == missing


def test_what_is_no_csv_file_is_refused(cadence: FlaskClient) -> None:
    path = "/restore-historical-data"
    nothing = cadence.post(path, data={})
    picture = cadence.post(path, data={"file": (BytesIO(b"x"), "x.png")})

    assert (nothing.status_code, picture.status_code) == (400, 400)
    assert "file: Send a CSV file" in nothing.get_json()["error"]
    assert "'x.png' is no CSV file" in picture.get_json()["error"]


def restore_bytes(cadence: FlaskClient, raw: bytes) -> Any:
    file = (BytesIO(raw), "H.CSV")
    return cadence.post("/restore-historical-data", data={"file": file})


SPRING: Final = "\n".join([HEADER, a_row(title="Frühling"), a_row(BOB, title="Märkte"), "", ""])


@pytest.mark.parametrize(
    ("raw", "note"),
    [
        (SPRING.encode(), ""),
        (SPRING.encode("utf-8-sig"), ""),
        (SPRING.encode("utf-16"), ""),
        (SPRING.replace("\n", "\r\n").encode(), ""),
        (SPRING.replace(",", ";").encode(), ""),
        (SPRING.replace(",", "\t").encode(), ""),
        (SPRING.replace("user_id", "User ID").encode(), ""),
        (SPRING.encode("cp1252"), "was read as Windows-1252, for example 'Frühling'"),
        (SPRING.encode("latin-1"), "was read as Windows-1252, for example 'Frühling'"),
    ],
)
def test_every_usual_way_to_save_a_history_is_read(
    cadence: FlaskClient, database: BulkDatabase, raw: bytes, note: str
) -> None:
    answer = restore_bytes(cadence, raw).get_json()

    assert (answer["details"]["totalRows"], answer["details"]["insertedRows"]) == (2, 2)
    assert note in answer["message"]
    assert ("Windows" in answer["message"]) == bool(note)
    with database.transaction() as connection:
        titles = fetch_values(connection, "SELECT push_title FROM notification_history")
    assert sorted(titles) == ["Frühling", "Märkte"]


def test_bytes_in_two_encodings_are_refused_with_their_line(cadence: FlaskClient) -> None:
    raw = f"{HEADER}\n{a_row(title='Frühling')}\n".encode() + a_row(BOB, title="ü").encode("cp1252")

    refused = restore_bytes(cadence, raw)

    assert refused.status_code == 400
    assert "H.CSV, line 3: the bytes are neither UTF-8 nor" in refused.get_json()["error"]


def test_a_history_may_have_dates_only_and_nothing_of_the_future(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    tomorrow = f"{utc_now() + timedelta(days=1):%F}"
    rows = [f"{ALICE},3,T,2026-01-05", f"{BOB},3,T,{tomorrow}", f"{CAROL},3,T,2200-01-01"]

    details = restore(cadence, "\n".join([HEADER, *rows])).get_json()["details"]

    assert details["errors"] == [
        f"Row 3: sent_at '{tomorrow}' is not between 1970 and now",
        "Row 4: sent_at '2200-01-01' is not between 1970 and now",
    ]
    with database.transaction() as connection:
        found = fetch_values(connection, "SELECT sent_at FROM user_notifications")
    assert found == [datetime(2026, 1, 5, tzinfo=UTC)]


def convert(cadence: FlaskClient, text: str, **form: str) -> Any:
    usual = {
        "layerId": "3",
        "pushTitle": "Seeds",
        "audienceDescription": "Everybody",
        "sentAt": NOON.isoformat(),
    }
    file = (BytesIO(text.encode()), "audience.csv")
    return cadence.post(
        "/convert-audience-to-history", data={"audienceFile": file, **usual, **form}
    )


def test_an_audience_becomes_history_once(cadence: FlaskClient, database: BulkDatabase) -> None:
    text = f"Name,User ID\nAnn,{ALICE}\nBob,{BOB}\nCid,nobody\n"

    first, second = (convert(cadence, text).get_json()["details"] for _ in range(2))

    assert (first["insertedCount"], first["duplicatesSkipped"]) == (2, 0)
    assert first["errors"] == ["Row 4: user_id 'nobody' is no UUID"]
    assert (second["insertedCount"], second["duplicatesSkipped"]) == (0, 2)
    assert count(database) == 2


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"layerId": "6"}, "layerId: "),
        ({"sentAt": "soon"}, "sentAt: "),
        ({"pushTitle": ""}, "pushTitle: "),
    ],
)
def test_a_conversion_that_does_not_fit_is_named(
    cadence: FlaskClient, form: dict[str, str], said: str
) -> None:
    refused = convert(cadence, f"user_id\n{ALICE}", **form)

    assert refused.status_code == 400
    assert said in refused.get_json()["error"]


def test_an_audience_without_ids_says_so(cadence: FlaskClient) -> None:
    assert "No column of user ids" in convert(cadence, "name\nAnn").get_json()["error"]


def a_log(size: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": str(size),
        "status": "completed",
        "isDryRun": False,
        "timestamp": NOON.isoformat(),
        "title": "Seeds",
        "deepLink": "https://garden.example/seeds",
        "totalCount": size,
        **changes,
    }


def test_logs_match_by_the_size_of_their_audience(cadence: FlaskClient) -> None:
    old = (NOON - timedelta(days=91)).isoformat()
    logs = [a_log(size) for size in (100, 102, 104, 109, 120, 200)]
    logs += [a_log(100, status="failed"), a_log(100, isDryRun=True), a_log(100, timestamp=old)]
    logs += [a_log(0, audienceSize=99), a_log(0), {}]

    body = {"csvAudienceSize": 100, "trackResultsLogs": logs}
    found = cadence.post("/find-matching-logs", json=body).get_json()["matchingLogs"]

    assert [(m["audienceSize"], m["audienceSizeDiff"], m["matchQuality"]) for m in found] == [
        (100, 0, 100),
        (99, 1, 95),
        (102, 2, 95),
        (104, 4, 85),
        (109, 9, 70),
        (120, 20, 50),
        (200, 100, 25),
    ]


def links(database: BulkDatabase) -> dict[UUID, str | None]:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT user_id, deep_link FROM notification_history")
        return dict(cursor.fetchall())


def test_links_are_back_filled_from_the_first_log_of_title_and_instant(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    def at(minutes: float) -> datetime:
        return NOON + timedelta(minutes=minutes)

    users = [UUID(int=n) for n in range(1, 6)]
    rows = [
        f"{users[0]},3,Seeds,{at(5).isoformat()}",
        f"{users[1]},3,Seeds,{at(5.02).isoformat()}",
        f"{users[2]},3,Other,{NOON.isoformat()}",
        f"{users[3]},3,Linkless,{NOON.isoformat()}",
        f"{users[4]},3, Seeds ,{at(-5).isoformat()}",
    ]
    restore(cadence, "\n".join([HEADER, *rows]))
    logs = [
        a_log(1, title=" Seeds "),
        a_log(1, deepLink="https://garden.example/second"),
        a_log(1, title="Linkless", deepLink=None),
        a_log(1, title="Linkless"),
        a_log(1, title=None),
        a_log(1, title="Other", isDryRun=True),
    ]

    answer = cadence.post("/update-deep-links", json={"trackResultsLogs": logs}).get_json()

    assert answer["details"] == {
        "updatedCount": 2,
        "matchedLogs": 2,
        "errors": ["Log 5 has no title."],
    }
    seeds = "https://garden.example/seeds"
    assert links(database) == dict(zip(users, [seeds, None, None, None, seeds], strict=True))
    again = cadence.post("/update-deep-links", json={"trackResultsLogs": logs}).get_json()
    assert again["details"]["updatedCount"] == 0


def test_who_fills_in_deep_links_is_recorded(cadence: FlaskClient) -> None:
    restore(cadence, f"{HEADER}\n{a_row()}")
    logs = [{"title": "Seeds", "timestamp": NOON.isoformat(), "deepLink": "https://a.test/b"}]

    body = json.dumps({"trackResultsLogs": logs}).encode()

    path, kind = "/api/update-deep-links", "application/json"
    answer = cadence.post(path, data=body, content_type=kind)

    updated = answer.get_json()["details"]["updatedCount"]
    (change,) = cadence.get("/history-changes").get_json()["changes"]
    assert (change["action"], change["caller"]) == ("deep_links_filled", "admin")
    assert change["asked"] == {"logs": 1, "sha256": sha256(body).hexdigest()}
    assert change["done"] == {"updated": updated}
    assert change["startedAt"] <= change["endedAt"]
    assert cadence.get(f"/history-changes?before={change['id']}").get_json()["changes"] == []


def test_a_change_that_ends_half_way_keeps_its_record(database: BulkDatabase) -> None:
    with (
        pytest.raises(ConnectionError),
        recorded(database, "deep_links_filled", "admin", {"logs": 1}, utc_now()),
    ):
        raise ConnectionError

    with database.transaction() as connection:
        (change,) = select_changes(connection, None, 10)
    assert (change.caller, change.ended_at, change.done) == ("admin", None, None)


#: Each route by which an admin changes something, and the list that tells who did.
RECORDED: Final = {
    "POST /rules": "/rules/history",
    "PUT /rules": "/rules/history",
    "PUT /rules/<name>": "/rules/history",
    "DELETE /rules/<name>": "/rules/history",
    "PUT /layers/<int:layer_id>": "/rules/history",
    "POST /restore-historical-data": "/imports",
    "POST /convert-audience-to-history": "/imports",
    "DELETE /imports/<int:import_id>": "/imports",
    "POST /update-deep-links": "/history-changes",
    "DELETE /users/<uuid:user_id>/history": "/history-changes",
}
#: It is asked by POST, and changes nothing.
ONLY_ASKS: Final = "POST /find-matching-logs"


def test_every_change_by_an_admin_has_a_list_that_tells_who_made_it(cadence_app: Flask) -> None:
    changes = {
        f"{method} {rule.rule}"
        for rule in cadence_app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}
        if required_role(cadence_app, rule.endpoint, method) is Role.ADMIN
        and not rule.rule.startswith("/api/")
    }

    assert changes == {*RECORDED, ONLY_ASKS}
