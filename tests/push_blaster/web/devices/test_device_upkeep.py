"""Routes about all devices: import, report, clean-up; and the command that imports."""

from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from chassis.postgres import Database
from push_blaster.adapters.devices.device_table import mark_devices_dead, select_devices_of
from push_blaster.cli import main
from tests.builders import NOON, died
from tests.fakes.browser import Browser
from tests.people import ALICE, BOB
from tests.push_blaster.settings import environ_for


def send_csv(client: FlaskClient, text: str | bytes, query: str = "") -> Any:
    data = text.encode() if isinstance(text, str) else text
    return client.post(f"/api/devices/import{query}", data=data, content_type="text/csv")


def listed(database: Database, user_id: Any = ALICE) -> list[dict[str, Any]]:
    with database.transaction() as connection:
        return [asdict(device) for device in select_devices_of(connection, user_id)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_file_is_imported_whatever_its_line_ends_and_names(
    client: FlaskClient, database: Database, end: str
) -> None:
    keys = Browser().keys
    lines = [
        "\ufeffUser ID,Device-Token,type,OS,p256dh,auth,Time Zone,app_version,updated_at,colour",
        f'{ALICE},"a,b",,ios,,,Asia/Tokyo,1.2,2026-10-01T12:00:00+02:00,red',
        "",
        f"{str(BOB).upper()},https://web.push.apple.com/x,webpush,,"
        f"{keys['p256dh']},{keys['auth']},,,,",
    ]

    answer = send_csv(client, end.join(lines)).get_json()

    assert answer == {
        "dryRun": False,
        "rows": 2,
        "registered": 2,
        "unchanged": 0,
        "refused": 0,
        "errors": [],
        "ignored": [],
    }
    (device,) = listed(database)
    assert (device["token"], device["kind"], device["platform"]) == ("a,b", "fcm", "ios")
    assert (device["timezone"], device["app_version"]) == ("Asia/Tokyo", "1.2")
    assert device["last_seen_at"].isoformat() == "2026-10-01T10:00:00+00:00"
    (webpush,) = listed(database, BOB)
    assert webpush["kind"] == "webpush"


def test_bad_rows_are_listed_by_line_and_the_others_registered(
    client: FlaskClient, database: Database
) -> None:
    rows = [
        "user_id,token,timezone",
        f"{ALICE},good,",
        f"{ALICE},no zone,Mars/Base",
        "nobody,x,",
        f"{ALICE},short",
        f"{ALICE},long,,",
        f'{ALICE},"two\nlines",',
        f"{ALICE},better,",
    ]

    answer = send_csv(client, "\n".join(rows)).get_json()

    assert (answer["rows"], answer["registered"], answer["refused"]) == (7, 3, 4)
    assert [(error["line"], error["error"][:40]) for error in answer["errors"]] == [
        (3, "token: Up to 2048 printable ASCII charac"),
        (4, "userId: Not a valid UUID."),
        (6, "4 cells, 3 columns"),
        (7, "token: Up to 2048 printable ASCII charac"),
    ]
    assert sorted(device["token"] for device in listed(database)) == ["better", "good", "short"]


def test_semicolons_utf_16_and_invisible_characters_around_ids_are_read(
    client: FlaskClient, database: Database
) -> None:
    text = f"id;user;User Id;token\n7;bob;\u200b{ALICE} ;\ufeffa b\u00a0\n8;;{ALICE};c\u2060\n"

    answer = send_csv(client, text.encode("utf-16")).get_json()

    assert (answer["registered"], answer["refused"]) == (1, 1)
    assert [device["token"] for device in listed(database)] == ["c"]


def test_a_guess_at_the_encoding_is_told(client: FlaskClient) -> None:
    text = f"user_id,token,city\n{ALICE},a,Köln\n".encode("cp1252")

    assert "read as Windows-1252, for example 'Köln'" in send_csv(client, text).get_json()["note"]


def test_a_dry_run_tells_the_same_and_keeps_nothing(
    client: FlaskClient, database: Database
) -> None:
    answer = send_csv(client, f"user,token\n{ALICE},a\n", "?dryRun=true").get_json()

    assert (answer["dryRun"], answer["registered"]) == (True, 1)
    assert listed(database) == []


def test_a_form_brings_a_file_too(client: FlaskClient, database: Database) -> None:
    file = (BytesIO(f"userId,url,kind\n{ALICE},https://a.test,webhook\n".encode()), "devices.csv")

    answer = client.post("/api/devices/import", data={"file": file, "dryRun": "false"}).get_json()

    assert answer["registered"] == 1
    assert listed(database)[0]["kind"] == "webhook"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "The file is empty; its first line has to name the columns."),
        ("user_id,name\n", "one column token. The columns: user_id, name."),
        ("token\n", "one column user_id"),
        ("user_id,token,device_token\n", "one column token"),
        ("user_id,User Id,token\n", "which are one name"),
        (f'user_id,token\n{ALICE},"a\n{BOB},b', "The file, line 2: the row that begins here"),
        (f"user_id,token\n{ALICE},a\0b\n", "The file, line 2: there is a NUL character"),
    ],
)
def test_a_file_without_its_columns_is_refused(client: FlaskClient, text: str, said: str) -> None:
    response = send_csv(client, text)

    assert response.status_code == 400
    assert said in response.get_json()["error"]


def test_a_body_that_is_no_file_is_refused(client: FlaskClient) -> None:
    response = client.post("/api/devices/import", json={"devices": []})

    assert response.status_code == 400
    assert "text/csv" in response.get_json()["error"]


def test_the_report_counts_the_living_and_the_dead(client: FlaskClient, database: Database) -> None:
    rows = ["userId,token,kind,platform", *(f"{ALICE},a{n},fcm,ios" for n in range(3))]
    send_csv(client, "\n".join([*rows, f"{BOB},https://b.test,webhook,"]))
    with database.transaction() as connection:
        mark_devices_dead(connection, [died("a0", "404 UNREGISTERED"), died("a1", "410")], NOON)

    report = client.get("/api/devices/report?days=3650").get_json()

    assert report["byKind"] == [
        {"kind": "fcm", "living": 1, "dead": 2},
        {"kind": "webhook", "living": 1, "dead": 0},
    ]
    assert report["byPlatform"] == [
        {"platform": "ios", "living": 1, "dead": 2},
        {"platform": None, "living": 1, "dead": 0},
    ]
    assert report["deadByReason"] == [
        {"reason": "404 UNREGISTERED", "devices": 1},
        {"reason": "410", "devices": 1},
    ]
    assert report["deadByDay"] == [{"day": "2026-11-24", "devices": 2}]


def test_a_clean_up_removes_who_died_before_then_and_nobody_else(
    client: FlaskClient, database: Database
) -> None:
    send_csv(client, f"userId,token\n{ALICE},early\n{ALICE},late\n{ALICE},alive\n")
    with database.transaction() as connection:
        mark_devices_dead(connection, [died("early", "404")], NOON.replace(hour=11))
        mark_devices_dead(connection, [died("late", "404")], NOON)

    answer = client.post("/api/devices/clean-up", json={"deadBefore": NOON.isoformat()}).get_json()

    assert answer == {"deleted": 1}
    assert sorted(device["token"] for device in listed(database)) == ["alive", "late"]


def test_the_command_imports_a_file_and_tells_of_bad_rows(
    push_url: str, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = environ_for(push_url, tmp_path)
    file = tmp_path / "devices.csv"
    file.write_text(f"userId,token\n{ALICE},a\nnobody,b\n")

    rehearsed = CliRunner(env=environ).invoke(main, ["import-devices", str(file), "--dry-run"])
    before = listed(database)
    done = CliRunner(env=environ).invoke(main, ["import-devices", str(file)])

    assert "1 would be registered" in rehearsed.output
    assert before == []
    assert "line 3: userId: Not a valid UUID." in done.output
    assert "1 registered, 0 unchanged, 1 refused." in done.output
    assert done.exit_code == 1
    assert [device["token"] for device in listed(database)] == ["a"]


def test_a_slip_in_the_name_of_the_dry_run_imports_nothing(
    client: FlaskClient, database: Database
) -> None:
    file = {"file": (BytesIO(f"user_id,token\n{ALICE},t".encode()), "devices.csv")}

    refused = client.post("/api/devices/import?dryrun=true", data=file)

    assert refused.status_code == 400
    assert "dryrun" in refused.get_json()["error"]
    assert listed(database) == []
