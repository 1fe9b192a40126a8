"""Who got what: an execution as a CSV, and one user over all executions."""

import csv
import re
import tracemalloc
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from chassis.postgres import Database
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.domain.executions.modes import Mode
from tests.journeys.stack import user
from tests.push_blaster.bench import Bench
from tests.push_blaster.web.one_off.ad_hoc_pushes import post
from tests.push_blaster.web.page_support import Visitor


def table(client: FlaskClient, execution_id: str) -> list[dict[str, str]]:
    response = client.get(f"/api/executions/{execution_id}/export.csv")
    assert response.status_code == 200
    return list(csv.DictReader(StringIO(response.text, newline="")))


def search(client: FlaskClient, user_id: str, query: str = "") -> dict[str, Any]:
    answer = client.get(f"/api/users/{user_id}/deliveries{query}").get_json()
    assert isinstance(answer, dict)
    return answer


def test_an_export_says_who_got_what_of_each_push(client: FlaskClient, bench: Bench) -> None:
    execution_id = bench.start(pushes=[{"title": "=1+1, hi"}, {"title": "B", "layerId": 3}])
    bench.run(execution_id)

    rows = table(client, execution_id)

    assert len(rows) == 20
    first, last = rows[0], rows[-1]
    assert (first["position"], first["title"], first["layerId"]) == ("1", "'=1+1, hi", "3")
    assert (first["userId"], first["outcome"]) == (user(1), "sent")
    assert first["providerId"].startswith("file:")
    assert first["settledAt"] >= first["claimedAt"] > "2026"
    assert (last["position"], last["outcome"]) == ("2", "held_back")
    assert last["reason"] == "layer_3_cooldown_hours"


def test_a_viewer_sees_no_ids_of_providers(
    viewer: Visitor, operator: Visitor, bench: Bench, database: Database
) -> None:
    with database.transaction() as connection:
        upsert_devices(connection, [Device("token-of-one", UUID(int=1), kind="file")], bench.now)
    given: dict[str, Any] = {"parameters": {"users": 1}, "settings": {"testUserIds": [user(1)]}}
    tested = bench.run(bench.start(mode=Mode.TEST_LIVE_SEND, **given)).id
    live = bench.run(bench.start(**given)).id
    paths = (
        *(f"/api/executions/{live}/{part}" for part in ("deliveries", "export.csv")),
        *(f"/api/users/{user(1)}{part}" for part in ("", "/deliveries")),
        *(f"/deliveries?user={user(1)}", f"/executions/{tested}", f"/api/executions/{tested}"),
    )

    assert [path for path in paths if "file:" in viewer.get(path)] == []
    assert [path for path in paths if "file:" not in operator.get(path)] == []


def test_an_export_runs_nothing_in_a_spreadsheet(
    client: FlaskClient, bench: Bench, database: Database
) -> None:
    execution_id = bench.start(parameters={"users": 1})
    bench.run(execution_id)
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE deliveries SET reason = '@SUM(1)', provider_id = '-1'")

    (row,) = table(client, execution_id)

    assert (row["reason"], row["providerId"]) == ("'@SUM(1)", "'-1")


@pytest.mark.slow
def test_an_export_of_any_size_takes_little_memory(
    client: FlaskClient, bench: Bench, database: Database
) -> None:
    execution_id = bench.start(parameters={"users": 1})
    bench.run(execution_id)
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO deliveries (execution_id, position, is_test, user_id, state, batch,
                                    claimed_at)
            SELECT %s, 1, false, lpad(to_hex(n), 32, '0')::uuid, 'sent', 0, now()
              FROM generate_series(100, 100099) n
            """,
            (execution_id,),
        )

    response = client.get(f"/api/executions/{execution_id}/export.csv", buffered=False)
    tracemalloc.start()
    size = sum(len(piece) for piece in response.iter_encoded())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert size > 10_000_000
    assert peak < 8_000_000


def test_what_is_not_there_is_not_exported(client: FlaskClient) -> None:
    assert client.get("/api/executions/x/export.csv").status_code == 404


def test_a_user_is_found_in_every_execution_newest_first(client: FlaskClient, bench: Bench) -> None:
    bench.run(bench.start(pushes=[{"title": "A"}, {"title": "B"}]))
    bench.now += timedelta(days=4)
    bench.run(bench.start(pushes=[{"title": "C"}]))
    bench.now += timedelta(hours=1)
    bench.run(post(client, userIds=[user(3)], layerId=4, title="D").get_json()["jobId"])

    everything = search(client, user(3))
    first = search(client, user(3), "?limit=3")
    cursor = first["nextCursor"].replace("+", "%2B")
    rest = search(client, user(3), f"?limit=3&cursor={cursor}")

    told = [(d["title"], d["state"]) for d in everything["deliveries"]]
    assert told == [("D", "no_token"), ("C", "sent"), ("B", "held_back"), ("A", "sent")]
    assert everything["nextCursor"] is None
    assert first["deliveries"] + rest["deliveries"] == everything["deliveries"]
    assert everything["deliveries"][1]["automationId"] == "news"
    assert search(client, user(99))["deliveries"] == []


def test_a_user_is_found_within_one_execution(client: FlaskClient, bench: Bench) -> None:
    execution_id = bench.start(pushes=[{}, {"layerId": 1}])
    bench.run(execution_id)
    path = f"/api/executions/{execution_id}/deliveries?userId="

    found = client.get(path + user(4)).get_json()["deliveries"]

    assert [(d["position"], d["userId"], d["state"]) for d in found] == [
        (1, user(4), "sent"),
        (2, user(4), "sent"),
    ]
    assert client.get(path + str(UUID(int=99))).get_json()["deliveries"] == []
    assert client.get(path + "alice").status_code == 400


def test_one_button_finds_a_user_with_all_filters(viewer: Visitor) -> None:
    page = viewer.get(f"/deliveries?user={user(1)}&execution=news&mode=live&result=sent")

    form = page.partition('<form class="log-tools"')[2].partition("</form>")[0]
    names = re.findall(r'name="(\w+)"', form)
    assert page.count('<form class="log-tools"') == 1
    assert form.count("<button") == 1
    assert sorted(names) == ["execution", "from", "mode", "result", "until", "user"]
