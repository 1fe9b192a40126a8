"""Reports of phones and pages: each is counted once, or refused by its place with the reason."""

import json
from datetime import timedelta, timezone
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.rows import fetch_value
from push_blaster.web.engagement.events import MAX_EVENTS_BODY
from tests.people import ALICE, BOB
from tests.push_blaster.engagement import HOUR, SentPush, counted, fold, stored_events

DAY = timedelta(days=1)


@pytest.fixture
def phone(app: Flask) -> FlaskClient:
    """Somebody without a token."""
    return app.test_client()


def report(phone: FlaskClient, *events: Any, status: int = 202) -> dict[str, Any]:
    answer = phone.post("/api/events", json={"events": list(events)})
    assert answer.status_code == status, answer.get_data()
    body: dict[str, Any] = answer.get_json()
    return body


def reasons(body: dict[str, Any]) -> dict[int, str]:
    return {problem["index"]: problem["reason"] for problem in body["problems"]}


def test_what_a_phone_reports_is_counted_by_push_and_variant(
    phone: FlaskClient, database: Database
) -> None:
    first = SentPush(number=7, variants=["a", "b"]).insert(database)
    second = SentPush(number=7, position=2).insert(database)

    told = report(
        phone,
        first.event(database, "delivered", variant=1),
        first.event(database, "opened", variant=1),
        first.event(database, "opened", variant=2, user_id=BOB),
        second.event(database, "dismissed"),
        second.event(database, "opted_out"),
    )
    fold(database)

    assert told == {"accepted": 5, "notCounted": 0, "refused": 0, "problems": []}
    assert counted(database) == {
        (7, 1, 1): {"delivered": 1, "opened": 1, "first_opened": 1},
        (7, 1, 2): {"opened": 1, "first_opened": 1},
        (7, 2, 0): {"dismissed": 1, "opted_out": 1},
    }


def test_the_same_event_counts_once_however_often_and_wherever_it_is_sent(
    phone: FlaskClient, app: Flask, database: Database
) -> None:
    push = SentPush().insert(database)
    opened = push.event(database)

    report(phone, opened, opened)
    report(app.test_client(), opened)
    fold(database)
    report(phone, push.event(database))
    fold(database)

    assert counted(database) == {(1, 1, 0): {"opened": 1, "first_opened": 1}}
    assert len(stored_events(database)) == 1


def test_bad_reports_are_told_by_their_place_and_the_good_ones_count(
    phone: FlaskClient, database: Database
) -> None:
    push = SentPush().insert(database)
    good = push.event(database)
    receipt = good["receipt"]
    forged = receipt[:-2] + ("AA" if receipt[-2:] != "AA" else "BB")
    foreign = SentPush(number=99).receipt(database)
    old = SentPush(number=2, ago=31 * DAY + timedelta(minutes=1)).insert(database)

    told = report(
        phone,
        {**good, "receipt": forged},
        {**good, "receipt": receipt[:20]},
        {**good, "receipt": "☃"},
        {**good, "receipt": 5},
        {**good, "receipt": foreign},
        old.event(database),
        {**good, "event": "openend"},
        {**good, "event": None},
        {**good, "at": "yesterday"},
        {**good, "at": "2026-11-24T12:30:00"},
        {**good, "action": "buy"},
        {"receipt": receipt, "event": "action"},
        {"receipt": receipt, "event": "action", "action": "a\x07"},
        {"receipt": receipt, "event": "action", "action": "x" * 101},
        {**good, "user": str(ALICE)},
        "opened",
        None,
        good,
    )
    fold(database)

    assert reasons(told) == {
        0: "forged_receipt",
        **dict.fromkeys([1, 2, 3], "malformed_receipt"),
        4: "unknown_push",
        5: "expired",
        6: "unknown_event",
        **dict.fromkeys(range(7, 17), "bad_field"),
    }
    assert (told["accepted"], told["refused"]) == (1, 17)
    assert "did you mean opened?" in told["problems"][6]["message"]
    assert (
        told["problems"][14]["message"]
        == "user: Unknown field; use one of receipt, event, action, at, scope."
    )
    assert counted(database) == {(1, 1, 0): {"opened": 1, "first_opened": 1}}


@pytest.mark.parametrize("days", [0, 29, 30])
def test_an_event_may_come_thirty_days_late(
    phone: FlaskClient, database: Database, days: int
) -> None:
    push = SentPush(ago=days * DAY + timedelta(seconds=30)).insert(database)

    report(phone, push.event(database, at=utc_now() - days * DAY))
    fold(database)

    assert counted(database)[1, 1, 0]["opened"] == 1


@pytest.mark.parametrize("instant", ["settled_at", "claimed_at"])
def test_the_days_of_an_event_count_from_the_message_of_its_own_user(
    phone: FlaskClient, database: Database, instant: str
) -> None:
    """A send window, or the winner of an experiment, may let a user wait for a day."""
    push = SentPush(ago=31 * DAY + 20 * HOUR).insert(database)
    begun_at, later = utc_now() - push.ago, utc_now() - 31 * DAY + HOUR
    own: dict[str, Any] = {"claimed_at": begun_at, instant: later}
    push.offer(database, **own)
    push.offer(database, BOB, claimed_at=begun_at, settled_at=begun_at)

    told = report(phone, push.event(database), push.event(database, user_id=BOB))
    fold(database)

    assert [one["reason"] for one in told["problems"]] == ["expired"]
    assert counted(database)[1, 1, 0]["opened"] == 1


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("1969-12-31T17:00:00-07:00", "sent"),
        ("0001-01-01T00:00:00+14:00", "sent"),
        ("9999-12-31T23:59:59-14:00", "now"),
        (None, "now"),
    ],
)
def test_the_clock_of_a_phone_is_not_trusted(
    phone: FlaskClient, database: Database, at: str | None, expected: str
) -> None:
    push = SentPush().insert(database)
    begun = utc_now()

    report(phone, {**push.event(database), "at": at})
    fold(database)

    ((_, _, stored),) = stored_events(database)
    sent = begun - push.ago
    close = timedelta(seconds=30)
    assert abs(stored - (begun if expected == "now" else sent)) < close
    assert stored <= utc_now()


def test_an_event_keeps_its_own_time_between_the_send_and_now(
    phone: FlaskClient, database: Database
) -> None:
    push = SentPush().insert(database)
    at = utc_now() - timedelta(minutes=20)

    report(phone, push.event(database, at=at))
    fold(database)

    assert [stored for _, _, stored in stored_events(database)] == [at]


@pytest.mark.parametrize("hours", [23, -23, 16, 5.504168])
def test_a_clock_with_an_odd_offset_stops_no_event_of_its_request(
    phone: FlaskClient, database: Database, hours: float
) -> None:
    push = SentPush().insert(database)
    at = utc_now() - timedelta(minutes=20)
    odd = at.astimezone(timezone(timedelta(hours=hours)))

    told = report(phone, push.event(database, at=odd), push.event(database, "delivered"))
    fold(database)

    assert told["accepted"] == 2
    assert stored_events(database)[0] == ("opened", "", at)


def test_tests_and_dry_runs_are_accepted_and_not_counted(
    phone: FlaskClient, database: Database
) -> None:
    push = SentPush().insert(database)
    dry = SentPush(number=2, is_counted=False).insert(database)
    not_begun = SentPush(number=3)

    told = report(
        phone,
        push.event(database, is_test=True),
        push.event(database, is_dry_run=True),
        dry.event(database),
        not_begun.event(database, is_test=True),
    )
    fold(database)

    assert told == {"accepted": 4, "notCounted": 4, "refused": 0, "problems": []}
    assert counted(database) == {}


@pytest.mark.parametrize("header", [("Sec-Purpose", "prefetch;prerender"), ("X-Moz", "prefetch")])
def test_what_a_browser_prefetches_does_not_count(
    phone: FlaskClient, database: Database, header: tuple[str, str]
) -> None:
    push = SentPush().insert(database)
    body = {"events": [push.event(database)]}

    told = phone.post("/api/events", json=body, headers=[header])
    fold(database)

    assert told.get_json()["notCounted"] == 1
    assert counted(database) == {}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_scanner_that_follows_a_link_counts_nothing(
    phone: FlaskClient, database: Database, method: str
) -> None:
    receipt = SentPush().insert(database).receipt(database)

    answer = phone.open(f"/api/events?receipt={receipt}&event=opened", method=method)
    fold(database)

    assert answer.status_code == 405
    assert counted(database) == {}


def test_an_event_that_comes_before_its_message_is_settled_counts(
    phone: FlaskClient, database: Database
) -> None:
    push = SentPush(ago=-timedelta(seconds=5)).insert(database)

    report(phone, push.event(database, "delivered"))
    fold(database)

    assert counted(database) == {(1, 1, 0): {"delivered": 1}}


def test_a_user_who_uses_two_buttons_counts_once_and_opens_count_by_user(
    phone: FlaskClient, database: Database
) -> None:
    push = SentPush().insert(database)

    report(phone, push.event(database, "action", action="buy"), push.event(database))
    fold(database)
    report(phone, push.event(database, "action", action="later"))
    report(phone, push.event(database, "action", action="buy", user_id=BOB))
    fold(database)

    assert counted(database)[1, 1, 0] == {
        "actions": 2,
        "first_acted": 2,
        "opened": 1,
        "first_opened": 1,
    }
    assert sorted(stored[1] for stored in stored_events(database)) == ["", "buy", "buy", "later"]


def test_one_receipt_is_no_store_for_texts(phone: FlaskClient, database: Database) -> None:
    push = SentPush().insert(database)
    for part in range(3):
        names = [f"button {part} {number}" for number in range(50)]
        report(phone, *(push.event(database, "action", action=name) for name in names))
        fold(database)

    assert len(stored_events(database)) == 10
    assert counted(database)[1, 1, 0]["actions"] == 1


def test_only_the_first_open_since_the_texts_changed_is_a_first_one(
    phone: FlaskClient, database: Database
) -> None:
    pushes = [SentPush(number=n, ago=timedelta(hours=9 - n)).insert(database) for n in (1, 2)]
    changed = SentPush(number=3, texts="others").insert(database)
    other = SentPush(number=4, automation_id="offers").insert(database)

    report(phone, *(push.event(database) for push in (*pushes, changed, other)))
    report(phone, pushes[1].event(database, user_id=BOB))
    fold(database)

    firsts = {key[0]: counts.get("first_opened", 0) for key, counts in counted(database).items()}
    assert firsts == {1: 1, 2: 1, 3: 1, 4: 1}
    assert counted(database)[2, 1, 0]["opened"] == 2


@pytest.mark.parametrize("kind", ["text/plain;charset=UTF-8", "application/json"])
def test_a_page_of_another_origin_may_report_as_a_beacon(
    phone: FlaskClient, database: Database, kind: str
) -> None:
    body = json.dumps({"events": [SentPush().insert(database).event(database)]})

    asked = phone.options(
        "/api/events",
        headers={"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"},
    )
    answer = phone.post(
        "/api/events", data=body, content_type=kind, headers={"Origin": "https://shop.example"}
    )

    assert asked.status_code == 200
    assert asked.headers["Access-Control-Allow-Headers"] == "Content-Type"
    assert answer.status_code == 202
    assert {r.headers["Access-Control-Allow-Origin"] for r in (asked, answer)} == {"*"}


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"events": []}', "application/json", 400),
        (b'{"events": {}}', "text/plain", 400),
        (b'{"events": [1], "more": 1}', "application/json", 400),
        (b'{"events": [' + b"1," * 100 + b"1]}", "application/json", 400),
        (b'{"events": [1]}', "application/x-www-form-urlencoded", 415),
        (b'{"events": [1]}', "", 415),
        (b" " * (MAX_EVENTS_BODY + 1), "application/json", 413),
    ],
)
def test_a_body_that_is_no_report_is_refused_and_a_page_may_read_why(
    phone: FlaskClient, body: bytes, kind: str, status: int
) -> None:
    answer = phone.post("/api/events", data=body, content_type=kind)

    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.get_json()["detail"]


def test_a_report_is_durable_when_it_is_answered_and_nobodys_change(
    phone: FlaskClient, database: Database
) -> None:
    push = SentPush().insert(database)
    with database.transaction() as connection:
        audited = fetch_value(connection, "SELECT count(*) FROM audit_log")

    report(phone, push.event(database))

    with database.transaction() as connection:
        assert fetch_value(connection, "SELECT count(*) FROM event_inbox") == 1
        assert fetch_value(connection, "SELECT count(*) FROM audit_log") == audited
