"""A tap in a message opts its user out, at once, and no other user."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.devices.opt_out_table import select_opt_outs_of
from push_blaster.domain.devices.opt_out import OptOut
from tests.people import ALICE, BOB
from tests.push_blaster.engagement import SentPush, counted, fold
from tests.push_blaster.web.page_support import Visitor


@pytest.fixture
def phone(app: Flask) -> FlaskClient:
    """Somebody without a token."""
    return app.test_client()


def report(phone: FlaskClient, *events: Any, **headers: str) -> dict[str, Any]:
    answer = phone.post("/api/events", json={"events": list(events)}, headers=headers)
    assert answer.status_code == 202, answer.get_data()
    body: dict[str, Any] = answer.get_json()
    return body


def opt_outs(database: Database) -> list[OptOut]:
    with database.transaction() as connection:
        return select_opt_outs_of(connection, [ALICE, BOB], utc_now())


def covered(database: Database) -> list[tuple[str, str]]:
    return sorted((one.scope.value, one.target) for one in opt_outs(database))


def test_a_tap_opts_the_user_out_of_the_automation_before_it_is_answered(
    phone: FlaskClient, database: Database, viewer: Visitor
) -> None:
    push = SentPush(automation_id="news").insert(database)

    report(phone, push.event(database, "opted_out"))

    (one,) = opt_outs(database)
    assert (one.user_id, one.scope, one.target, one.until) == (ALICE, "automation", "news", None)
    assert (one.source, one.reason) == ("receipt", "in a message of News")
    page = viewer.get("/opt-outs")
    assert "in a message of News" in page
    assert "by the user, from a message" in page


@pytest.mark.parametrize(
    ("scope", "covers"),
    [
        ("all", ("all", "")),
        ("layer", ("layer", "3")),
        ("automation", ("automation", "news")),
        (None, ("automation", "news")),
    ],
)
def test_the_event_may_name_what_the_user_does_not_want(
    phone: FlaskClient, database: Database, scope: str | None, covers: tuple[str, str]
) -> None:
    push = SentPush(automation_id="news").insert(database)

    report(phone, push.event(database, "opted_out", scope=scope))

    assert covered(database) == [covers]


def test_a_one_off_push_stands_for_its_layer(phone: FlaskClient, database: Database) -> None:
    push = SentPush(automation_id="ad-hoc-0123456789abcdef").insert(database)

    report(phone, push.event(database, "opted_out"))

    assert covered(database) == [("layer", "3")]


def test_twice_is_once_and_is_counted_once(phone: FlaskClient, database: Database) -> None:
    push = SentPush().insert(database)
    tap = push.event(database, "opted_out")

    report(phone, tap, tap)
    report(phone, tap)
    fold(database)

    assert len(opt_outs(database)) == 1
    assert counted(database) == {(1, 1, 0): {"opted_out": 1}}


def test_a_late_repetition_does_not_opt_out_whoever_wants_pushes_again(
    phone: FlaskClient, client: FlaskClient, database: Database
) -> None:
    first, second = SentPush().insert(database), SentPush(number=2).insert(database)
    report(phone, first.event(database, "opted_out"))
    fold(database)
    client.delete(f"/api/opt-outs?userId={ALICE}")

    report(phone, first.event(database, "opted_out"))
    late = opt_outs(database)
    report(phone, second.event(database, "opted_out"))

    assert (late, len(opt_outs(database))) == ([], 1)


AUTOMATION, EVERYTHING = ("automation", "news"), ("all", "")
FOLD, OPT_IN = "fold", "opt in"
#: Minutes by the phone's clock from now, and the scope; the story goes on after each step.
STORIES: list[tuple[list[Any], list[tuple[str, str]]]] = [
    ([(-5, None), (-4, "all")], [EVERYTHING, AUTOMATION]),
    ([(-5, None), FOLD, (-4, "all")], [EVERYTHING, AUTOMATION]),
    ([(-5, None), FOLD, (-5, "all")], [EVERYTHING, AUTOMATION]),
    ([(None, None), FOLD, (None, "all")], [EVERYTHING, AUTOMATION]),
    ([(-5, None), OPT_IN, (-5, None)], []),
    ([(-5, None), OPT_IN, (-5, "automation")], []),
    ([(-5, None), FOLD, OPT_IN, (-5, None)], []),
    ([(None, None), OPT_IN, (None, None)], []),
    ([(+10, None), OPT_IN, (+10, None)], []),
    ([(-5, None), OPT_IN, (-4, None)], [AUTOMATION]),
    ([(-5, None), FOLD, OPT_IN, (-4, None)], [AUTOMATION]),
    ([(-5, None), OPT_IN, (-4, None), FOLD, OPT_IN, (-4, None)], []),
    ([(-90, None), OPT_IN, (-80, None)], [AUTOMATION]),
]


@pytest.mark.parametrize(("steps", "covers"), STORIES)
def test_a_repetition_changes_nothing_and_a_new_tap_is_never_lost(
    phone: FlaskClient,
    client: FlaskClient,
    database: Database,
    steps: list[Any],
    covers: list[tuple[str, str]],
) -> None:
    push, now = SentPush(automation_id="news").insert(database), utc_now()

    for step in steps:
        if step == FOLD:
            fold(database)
        elif step == OPT_IN:
            client.delete(f"/api/opt-outs?userId={ALICE}")
        else:
            minutes, scope = step
            at = {} if minutes is None else {"at": now + timedelta(minutes=minutes)}
            report(phone, push.event(database, "opted_out", scope=scope, **at))

    assert covered(database) == covers


@pytest.mark.parametrize("flag", ["is_test", "is_dry_run"])
def test_who_tries_the_button_in_a_test_stays_in(
    phone: FlaskClient, database: Database, flag: str
) -> None:
    push = SentPush().insert(database)

    told = report(phone, push.event(database, "opted_out", **{flag: True}))

    assert (told["accepted"], told["notCounted"]) == (1, 1)
    assert opt_outs(database) == []


def test_a_push_that_is_not_counted_opts_nobody_out(phone: FlaskClient, database: Database) -> None:
    push = SentPush(is_counted=False).insert(database)

    report(phone, push.event(database, "opted_out"))

    assert opt_outs(database) == []


def test_nobody_who_did_not_tap_is_opted_out(phone: FlaskClient, database: Database) -> None:
    push = SentPush().insert(database)
    good = push.event(database, "opted_out")
    forged = good["receipt"][:-2] + ("AA" if good["receipt"][-2:] != "AA" else "BB")
    old = SentPush(number=2, ago=timedelta(days=32)).insert(database)

    told = report(
        phone,
        {**good, "receipt": forged},
        {**good, "receipt": SentPush(number=9).receipt(database)},
        old.event(database, "opted_out"),
        {**good, "scope": "some"},
        {**good, "scope": ["all"]},
        {**push.event(database, "opened"), "scope": "all"},
        push.event(database, "opened"),
        push.event(database, "action", action="opted_out"),
    )
    prefetched = report(phone, good, **{"Sec-Purpose": "prefetch"})

    assert [(p["index"], p["reason"]) for p in told["problems"]] == [
        (0, "forged_receipt"),
        (1, "unknown_push"),
        (2, "expired"),
        (3, "bad_field"),
        (4, "bad_field"),
        (5, "bad_field"),
    ]
    assert prefetched["notCounted"] == 1
    assert opt_outs(database) == []


def test_taps_of_many_users_in_one_report_opt_each_of_them_out(
    phone: FlaskClient, database: Database
) -> None:
    push = SentPush().insert(database)

    report(
        phone,
        push.event(database, "opted_out", user_id=BOB),
        push.event(database, "opted_out", scope="all"),
        push.event(database, "opted_out", user_id=BOB, scope="layer"),
    )

    assert [(o.user_id, o.scope) for o in sorted(opt_outs(database), key=str)] == [
        (ALICE, "all"),
        (BOB, "automation"),
        (BOB, "layer"),
    ]
