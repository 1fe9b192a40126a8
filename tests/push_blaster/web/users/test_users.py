"""All that is known of one user: the API, the export and the page say the same."""

import json
import re
import shutil
import socket
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.postgres import Database
from chassis.rows import execute, fetch_values
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.adapters.users.own_pushes import OWN_PUSHES
from push_blaster.adapters.users.timeline_sources import (
    CONVERSIONS,
    DEVICES,
    EVENTS,
    OPT_OUTS,
    PUSHES,
    SAMPLED,
    window_values,
)
from push_blaster.app import create_app
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.users.timeline import Window
from push_blaster.wiring import connect_adapters
from tests.fakes.raw_server import run_raw_server
from tests.journeys.stack import user
from tests.push_blaster.bench import Bench, an_automation_document, messages
from tests.push_blaster.settings import settings_for
from tests.push_blaster.use_cases.executions.resuming import resume, stop
from tests.push_blaster.web.page_support import Visitor

LINDA = user(3)
#: A user of no audience.
STRANGER = str(UUID(int=99))


@pytest.fixture
def reader(app: Flask, app_beside_cadence: Flask) -> FlaskClient:
    """An administrator, where the web reaches the cadence service."""
    client = app_beside_cadence.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = "Bearer admin"
    return client


def read(client: FlaskClient, user_id: str = LINDA, **query: object) -> dict[str, Any]:
    answer = client.get(f"/api/users/{user_id}", query_string=query)
    assert answer.status_code == 200, answer.text
    found = answer.get_json()
    assert isinstance(found, dict)
    return found


def since(bench: Bench) -> dict[str, str]:
    return {"from": (bench.now - timedelta(days=1)).isoformat()}


def run_sql(database: Database, sql: str, **values: object) -> None:
    with database.transaction() as connection:
        execute(connection, sql, values)


def told(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["kind"], one["text"]) for one in found["timeline"]]


def test_i_got_two_is_answered_with_the_texts_and_each_push_once(
    reader: FlaskClient, bench: Bench
) -> None:
    bench.run(bench.start(pushes=[{}, {"title": "Again", "layerId": 1}]))

    found = read(reader, **since(bench))

    assert "this user got 2 pushes: “Again” of News at" in found["answer"]
    assert "and “Hi Name 3” of News at" in found["answer"]
    assert "The cadence rules allowed each of them." in found["answer"]
    assert told(found) == [("push", "Sent."), ("push", "Sent.")]
    assert [one["push"]["title"] for one in found["timeline"]] == ["Again", "Hi Name 3"]
    assert found["fault"] is None


def test_i_got_none_is_answered_with_the_rule_and_what_it_counted(
    reader: FlaskClient, bench: Bench
) -> None:
    bench.run(bench.start())
    bench.now += timedelta(hours=30)
    bench.run(bench.start(pushes=[{"title": "Later"}]))

    found = read(reader, **since(bench))

    rule = "capped by the rule “Pause between behaviour-responsive pushes”"
    assert f"this user got no push. Not sent to the user: 1 {rule}." in found["answer"]
    assert "Before, the user last got “Hi [[var:first_name]]” at" in found["answer"]
    (capped,) = found["timeline"]
    assert capped["text"] == f"C{rule[1:]}."
    assert "Cadence counted the sends of 2026-11-24T12:00:00+00:00." in capped["notes"]
    assert any(note.startswith("It would allow a push from") for note in capped["notes"])


WINNER = {
    "variants": [{"id": "plain"}, {"id": "warm", "title": "Dear"}],
    "experiment": {"testPercent": 20, "decideAfterMinutes": 60, "whenUnsure": "nobody"},
    "layerId": 1,
}


def test_no_page_says_of_a_message_that_waits_that_its_provider_deferred_it(
    viewer: Visitor, bench: Bench, database: Database
) -> None:
    execution_id = bench.start(pushes=[WINNER])
    bench.work()
    waits = next(
        one["user_id"] for one in bench.deliveries(execution_id) if one["state"] == "deferred"
    )
    paths = (f"/users/{waits}", f"/deliveries?user={waits}")

    def read_badges() -> list[list[str]]:
        return [re.findall(r'"badge-dot[^>]*>([^<]+)</span>', viewer.get(path)) for path in paths]

    waiting = read_badges()
    run_sql(database, "UPDATE deliveries SET tries = 1 WHERE user_id = %(user)s", user=waits)

    assert waiting == [["Waiting"], ["Waiting"]]
    assert read_badges() == [["Deferred by the provider"], ["Deferred by the provider"]]


def test_whoever_waits_for_a_winner_or_is_left_without_one_is_told_so(
    reader: FlaskClient, bench: Bench
) -> None:
    execution_id = bench.start(pushes=[WINNER])
    bench.work()
    waits = next(
        one["user_id"] for one in bench.deliveries(execution_id) if one["state"] == "deferred"
    )

    waiting = read(reader, str(waits), **since(bench))
    bench.now += timedelta(hours=2)
    bench.run(execution_id)
    without = read(reader, str(waits), **since(bench))

    assert "Not sent to the user: 1 waiting for the winner of an experiment." in waiting["answer"]
    assert told(waiting)[0][1].startswith("Waiting for the winner of an experiment: held until")
    assert "Not sent to the user: 1 without a winner." in without["answer"]
    assert told(without)[0][1].startswith("Without a winner: ")


def test_a_stop_before_the_turn_of_a_user_is_told(reader: FlaskClient, bench: Bench) -> None:
    execution_id = bench.start(parameters={"users": 60})
    bench.work_until_sent(20)
    under_way = read(reader, user(60), **since(bench))
    stop(bench, execution_id)

    stopped, absent = (read(reader, id_, **since(bench)) for id_ in (user(60), user(61)))

    name = f"Push 1 of News of {bench.now:%Y-%m-%d}"
    assert "is being sent, and has not come to the user yet." in under_way["answer"]
    assert name in stopped["answer"]
    assert "was stopped before it came to the user." in stopped["answer"]
    assert "No push of this time had the user" not in stopped["answer"]
    assert not absent["isKnown"]


def test_a_stopped_send_is_not_told_to_whom_its_resumed_send_reached(
    reader: FlaskClient, bench: Bench
) -> None:
    stopped = bench.start(parameters={"users": 60}, pushes=[{"layerId": 1}])
    bench.work_until_sent(20)
    stop(bench, stopped)
    bench.run(resume(bench, stopped))

    first, last = (read(reader, user(number), **since(bench)) for number in (1, 60))

    assert "this user got 1 push" in first["answer"]
    assert "Not sent to the user: 1 sent to before the stop." in first["answer"]
    assert "this user got 1 push" in last["answer"]
    assert "stopped" not in last["answer"]


def test_a_stop_while_a_user_waits_for_a_winner_is_told(reader: FlaskClient, bench: Bench) -> None:
    execution_id = bench.start(pushes=[WINNER])
    bench.work()
    waits = next(
        one["user_id"] for one in bench.deliveries(execution_id) if one["state"] == "deferred"
    )
    stop(bench, execution_id)

    found = read(reader, str(waits), **since(bench))

    assert "was stopped before it came to the user." in found["answer"]
    assert "No push of this time had the user" not in found["answer"]


def test_a_push_of_a_removed_execution_is_told_as_long_as_a_row_is_kept(
    reader: FlaskClient, bench: Bench, database: Database
) -> None:
    kept = bench.run(bench.start())
    run_sql(database, SAMPLE, user=LINDA, now=bench.now, number=kept.number)

    found = read(reader, **since(bench))

    assert told(found) == [
        ("removed_push", "A push of layer 3 was sent to the user. Its execution has been removed."),
        ("push", "Sent."),
    ]
    assert "1 push more belonged to executions that have been removed." in found["answer"]


#: The push of an execution that is there, and that of one that was removed.
SAMPLE = """
    INSERT INTO sampled_pushes (user_id, execution_number, position, layer_id, at, is_sent)
    VALUES (%(user)s, %(number)s, 1, 3, %(now)s, true), (%(user)s, 999, 1, 3, %(now)s, true)
"""


def test_what_another_service_recorded_stands_beside_our_pushes(
    reader: FlaskClient, bench: Bench, cadence: FlaskClient
) -> None:
    bench.run(bench.start())
    body = {"userId": LINDA, "layerId": 2, "sentAt": bench.now.isoformat(), "pushTitle": "Theirs"}
    body |= {"pushBody": "B", "audienceDescription": "A"}
    assert cadence.post("/track-notification", json=body).status_code < 300

    found = read(reader, **since(bench))

    assert "this user got 1 push:" in found["answer"]
    assert "The cadence service has 1 push more, which others recorded." in found["answer"]
    assert [kind for kind, _ in told(found)] == ["notification", "push"]
    assert "“Theirs”, to A" in told(found)[0][1]


def test_a_test_is_marked_and_stands_once_with_the_text_of_the_tester(
    reader: FlaskClient, bench: Bench, database: Database
) -> None:
    run_sql(database, PHONE, user=LINDA, now=bench.now)
    settings = {"testUserIds": [LINDA]}
    bench.run(bench.start(mode=Mode.TEST_LIVE_SEND, settings=settings))

    found = read(reader, **since(bench))

    test, phone = found["timeline"]
    assert phone["text"] == "Registered a device: file."
    assert (test["isTrial"], test["push"]["mode"]) == (True, "test-live-send")
    assert test["push"]["title"].startswith("Hi ")
    assert "this user got no push. Besides, the user got 1 test." in found["answer"]


PHONE = """
    INSERT INTO devices (token, kind, user_id, created_at, last_seen_at)
    VALUES ('secret-token', 'file', %(user)s, %(now)s, %(now)s)
"""


def test_a_dry_run_is_marked_and_no_push(reader: FlaskClient, bench: Bench) -> None:
    bench.run(bench.start(mode=Mode.REAL_DRY_RUN))

    found = read(reader, **since(bench))

    assert told(found) == [("push", "Would be sent.")]
    assert found["timeline"][0]["isTrial"]
    assert "this user got no push." in found["answer"]
    assert "test" not in found["answer"]


def test_the_texts_are_those_that_went_out(client: FlaskClient, bench: Bench) -> None:
    variants = [{"id": "a", "title": "First [[var:first_name]]"}, {"id": "b", "body": "Second"}]
    bench.run(bench.start(pushes=[{"variants": variants, "deepLink": "https://e.example/1"}]))

    sent = {one["userId"]: one for one in messages(bench)}

    assert len({one["title"] for one in sent.values()}) > 2
    for number in range(1, 11):
        (entry,) = read(client, user(number))["timeline"]
        push, line = entry["push"], sent[user(number)]
        assert (push["title"], push["body"]) == (line["title"], line["body"])
        assert push["texts"] == "personal"


def test_where_the_file_is_gone_the_text_has_its_placeholders_and_says_so(
    client: FlaskClient, bench: Bench
) -> None:
    bench.run(bench.start(pushes=[{}, {"title": "Plain", "layerId": 1}]))
    shutil.rmtree(bench.folder / "executions")

    plain, personal = read(client)["timeline"]

    assert (personal["push"]["title"], personal["push"]["texts"]) == (
        "Hi [[var:first_name]]",
        "written",
    )
    assert [note.partition(",")[0] for note in personal["notes"]] == [
        "The file of the audience is gone"
    ]
    assert (plain["push"]["title"], plain["notes"]) == ("Plain", [])


def test_everything_else_stands_on_the_same_timeline(
    reader: FlaskClient, bench: Bench, database: Database
) -> None:
    execution = bench.run(bench.start())
    run_sql(database, OTHERS, user=LINDA, now=bench.now, number=execution.number)

    found = read(reader, **since(bench))

    assert dict(told(found)) == {
        "opt_out": "Opted out of the pushes of layer 3, until 2027-01-01T00:00:00+00:00 "
        "(by the user, from a message): too many.",
        "conversion": "The user reached the goal 'deal', value 12.5. It counts for news.",
        "event": "The user opened the push.",
        "device": "Registered a device: ios (fcm).",
        "push": "Sent.",
    }
    event = next(one for one in found["timeline"] if one["kind"] == "event")
    assert (event["executionId"], event["position"]) == (execution.id, 1)
    assert len(found["devices"]) == len(found["optOuts"]) == 1


OTHERS = """
    INSERT INTO events (week, execution_number, position, user_id, event, variant, at, received_at)
    SELECT week, execution_number, 1, %(user)s, 'opened', 0, %(now)s, %(now)s FROM result_pushes
     WHERE execution_number = %(number)s;
    WITH added AS (
      INSERT INTO conversions (key, user_id, goal, value, at, received_at)
      VALUES ('k', %(user)s, 'deal', 12.5, %(now)s, %(now)s) RETURNING id)
    INSERT INTO attributions SELECT id, 'news', %(number)s, 1, 0, %(user)s FROM added;
    INSERT INTO opt_outs (user_id, scope, target, until, reason, source, set_at)
    VALUES (%(user)s, 'layer', '3', '2027-01-01Z', 'too many', 'receipt', %(now)s);
    INSERT INTO devices (token, user_id, platform, created_at, last_seen_at)
    VALUES ('secret-token', %(user)s, 'ios', %(now)s, %(now)s);
"""


def test_a_viewer_sees_that_there_is_a_token_and_not_the_token(
    viewer: Visitor, operator: Visitor, database: Database, bench: Bench
) -> None:
    run_sql(database, PHONE, user=LINDA, now=bench.now)

    seen = [viewer.get(path) for path in (f"/users/{LINDA}", f"/api/users/{LINDA}")]

    assert all("secret-token" not in page for page in seen)
    assert "Registered a device" in seen[0]
    assert "secret-token" in operator.get(f"/users/{LINDA}")
    assert "secret-token" in operator.get(f"/api/users/{LINDA}")


def test_while_cadence_is_away_the_page_says_so_and_shows_the_rest(
    client: FlaskClient, viewer: Visitor, bench: Bench
) -> None:
    bench.run(bench.start())

    found, page = read(client), viewer.get(f"/users/{LINDA}")

    assert found["fault"].startswith("What the cadence service knows of the user is missing here")
    assert told(found) == [("push", "Sent.")]
    assert "What the cadence service knows of the user is missing here" in page
    assert "Hi Name 3" in page


def test_a_service_that_hangs_is_asked_once_for_an_answer(
    app: Flask, push_url: str, database: Database, bench: Bench
) -> None:
    asked: list[bytes] = []

    def hang(connection: socket.socket) -> None:
        asked.append(connection.recv(65_536).partition(b"?")[0])
        connection.recv(1)  # until the client gives up

    with run_raw_server(hang) as url:
        settings = settings_for(push_url, bench.folder)
        cadence = CadenceClient(url, "token", timeout=timedelta(seconds=0.1))
        adapters = replace(connect_adapters(settings), database=database, cadence=cadence)
        client = Visitor(create_app(settings, adapters), "admin").client
        client.environ_base["HTTP_AUTHORIZATION"] = "Bearer admin"
        paths = (
            "/api/users/{}",
            "/api/users/{}/export.json",
            "/users/{}",
            "/users/{}?from=2026-11-01",
        )
        for user_id, path in product((LINDA, STRANGER), paths):
            asked.clear()
            answer = client.get(path.format(user_id))
            assert "What the cadence service knows of the user is missing here" in answer.text
            assert asked == [f"GET /users/{user_id}/history".encode()], path


def test_an_unknown_user_gets_a_clear_sentence(reader: FlaskClient, viewer: Visitor) -> None:
    found = read(reader, STRANGER)

    assert (found["isKnown"], found["timeline"]) == (False, [])
    assert found["answer"].startswith("Nothing is known of this user")
    assert "this user got no push" in viewer.get(f"/users/{STRANGER}")


@pytest.mark.parametrize("text", ["alice", "%F0%9F%98%80", "'%3B DROP TABLE x", "0" * 500, "%2e"])
def test_an_id_of_strange_letters_is_refused_with_the_reason(
    client: FlaskClient, viewer: Visitor, text: str
) -> None:
    page = viewer.client.get(f"/users/{text}")
    asked = viewer.client.get(f"/users?user={text}")

    assert (page.status_code, asked.status_code) == (400, 400)
    assert "is no user id; ids are UUIDs." in page.text
    assert "is no user id; ids are UUIDs." in asked.text
    assert client.get(f"/api/users/{text}").status_code == 404


def test_a_search_leads_to_the_page_of_the_user(viewer: Visitor) -> None:
    answer = viewer.client.get(f"/users?user=%20{LINDA.upper()}%20&from=2026-11-01&until=")

    assert answer.status_code == 303
    assert answer.location == f"/users/{LINDA}?from=2026-11-01"
    assert f'href="/users/{LINDA}"' in viewer.get(f"/search?q={LINDA}")


def test_of_10_000_entries_pages_and_the_export_have_each_once(
    reader: FlaskClient, bench: Bench, database: Database
) -> None:
    bench.run(bench.start(parameters={"users": 3}))
    run_sql(database, MANY, user=LINDA)

    found, cursor = [], None
    for _ in range(3):
        page = read(reader, limit=400, **({"cursor": cursor} if cursor else {}))
        found += page["timeline"]
        cursor = page["nextCursor"]
    newest = {"from": "2026-01-01T01:28:00Z"}  # more than are read at once
    export = json.loads(reader.get(f"/api/users/{LINDA}/export.json", query_string=newest).text)

    instants = [one["at"] for one in found]
    assert len({one["id"] for one in found}) == 1_200
    assert instants == sorted(instants, reverse=True)
    assert len({one["id"] for one in export["timeline"]}) == len(export["timeline"]) == 1_202
    assert export["timeline"][:1_200] == found
    assert (
        "There is more in this time than is counted here"
        in read(reader, **{"from": "2020-01-01"})["answer"]
    )


#: Ten thousand pushes of executions of their own, a hundred at each instant.
MANY = """
    INSERT INTO executions
    SELECT (jsonb_populate_record(e, jsonb_build_object(
             'id', 'many@' || n, 'number', n, 'idempotency_key', NULL))).*
      FROM executions e, generate_series(1, 10000) n;
    INSERT INTO deliveries (execution_id, position, is_test, batch, user_id, state, claimed_at)
    SELECT 'many@' || n, 1, false, 0, %(user)s, 'sent',
           '2026-01-01Z'::timestamptz + (n / 100) * interval '1 minute'
      FROM generate_series(1, 10000) n
"""


def test_the_export_is_for_operators_and_the_audit_log_notes_it(
    viewer: Visitor, operator: Visitor, client: FlaskClient, bench: Bench
) -> None:
    bench.run(bench.start())
    path = f"/api/users/{LINDA}/export.json"

    refused, exported = viewer.client.get(path), operator.client.get(path)

    assert (refused.status_code, exported.status_code) == (403, 200)
    assert exported.headers["Content-Disposition"] == f'attachment; filename="user-{LINDA}.json"'
    assert exported.headers["Cache-Control"] == "no-store"
    document = json.loads(exported.text)
    assert document["faults"][0].startswith("What the cadence service knows")
    assert len(document["timeline"]) == 1
    changes = client.get("/api/audit-log").get_json()["changes"]
    noted = next(one for one in changes if one["endpoint"] == "users.export")
    assert (noted["actor"], noted["status"]) == ("operator", 200)
    assert LINDA not in json.dumps(noted)


def test_automations_that_name_the_user_are_told(client: FlaskClient, bench: Bench) -> None:
    document = {"name": "Named", "settings": {"testUserIds": [LINDA.upper()]}}
    made = client.post("/api/automation/recipes", json={**SHORT, **document})
    assert made.status_code == 201, made.text

    found = read(client)

    assert found["namedIn"] == [made.get_json()["data"]["id"]]
    assert found["isKnown"]


SHORT = {
    "id": "named",
    "type": "script_based",
    "schedule": {"timezone": "UTC", "frequency": "daily", "executionTime": "09:00"},
    "pushSequence": [{"title": "A", "body": "B", "layerId": 3}],
}


def test_bad_questions_are_refused_with_the_field(client: FlaskClient) -> None:
    for query in ("limit=0", "limit=501", "cursor=x", "from=x", "mode=live"):
        answer = client.get(f"/api/users/{LINDA}?{query}")
        assert answer.status_code == 400, query
        assert query.partition("=")[0] in answer.text


def test_a_page_whose_days_are_in_the_wrong_order_says_so_beside_them(viewer: Visitor) -> None:
    answer = viewer.client.get(f"/users/{LINDA}?from=2026-11-24&until=2026-11-01")

    assert answer.status_code == 400
    said = "“To day”: The end is before the beginning: give a later “To day” or an earlier “From"
    assert said in answer.text
    assert 'value="2026-11-24"' in answer.text


def test_each_source_is_read_by_an_index(database: Database) -> None:
    values = window_values(UUID(LINDA), Window(limit=50))
    more = {"ids": ["a"], "positions": [1], "since": "2026-01-01Z", "until": "2026-02-01Z"}
    sources = [(sql, values) for sql in (PUSHES, SAMPLED, EVENTS, CONVERSIONS, OPT_OUTS, DEVICES)]
    with database.transaction() as connection:
        for statement in CROWD.split(";"):
            execute(connection, statement)
        execute(connection, "SET LOCAL enable_seqscan = off")  # but for tables without an index
        plans = [
            "\n".join(fetch_values(connection, f"EXPLAIN {sql}", own))
            for sql, own in [*sources, (OWN_PUSHES, {**values, **more})]
        ]
        connection.rollback()

    for plan in plans:
        scans = re.findall(r"Seq Scan on (\w+)", plan)
        assert set(scans) <= {"test_devices"}, plan
        assert re.search(r"Index Cond: .*user_id = ", plan), plan


#: Rows of 20,000 others in the tables that grow.
CROWD = """
    INSERT INTO deliveries (execution_id, position, is_test, batch, user_id, state, claimed_at)
    SELECT 'crowd@' || n % 50, 1, false, 0, gen_random_uuid(), 'sent', now()
      FROM generate_series(1, 20000) n;
    INSERT INTO conversions (key, user_id, goal, at, received_at)
    SELECT n, gen_random_uuid(), 'deal', now(), now() FROM generate_series(1, 20000) n;
    INSERT INTO opt_outs (user_id, scope, source, set_at)
    SELECT gen_random_uuid(), 'all', 'api', now() FROM generate_series(1, 20000);
    INSERT INTO devices (token, user_id, created_at, last_seen_at)
    SELECT n, gen_random_uuid(), now(), now() FROM generate_series(1, 20000) n;
    INSERT INTO sampled_pushes (user_id, execution_number, position, layer_id, at, is_sent)
    SELECT gen_random_uuid(), n % 50, 1, 3, now(), true FROM generate_series(1, 20000) n;
    ANALYZE deliveries, conversions, opt_outs, devices, sampled_pushes
"""


def test_the_reach_of_an_audience_is_without_users_who_opted_out(
    app: Flask, app_beside_cadence: Flask, reader: FlaskClient, bench: Bench
) -> None:
    bench.run(bench.start(pushes=[{"layerId": 1}]))
    document = {**an_automation_document(pushes=[{"layerId": 1}]), "isActive": False}
    assert reader.post("/api/automation/recipes", json=document).status_code == 201
    visitor = Visitor(app_beside_cadence, "admin")

    def opt_out(*numbers: int) -> str:
        for number in numbers:
            reader.post("/api/opt-outs", json={"userId": user(number), "scope": "all"})
        page = visitor.get("/cadence/reach?automation=news")
        return re.sub(r"<[^>]+>|\s+", " ", page.partition("funnel-line")[2].partition("</p>")[0])

    before, some, nobody = opt_out(), opt_out(1, 2, 3), opt_out(*range(4, 11))

    assert "opted out" not in before
    for shown, numbers in ((some, (10, 3, 7)), (nobody, (10, 10, 0))):
        in_all, gone, eligible = re.findall(r"(\d+) +(?:in the|opted out|eligible now)", shown)
        assert (int(in_all), int(gone), int(eligible)) == numbers, shown
