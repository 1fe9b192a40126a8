"""People who are signed in: what the identity provider says later counts within 15 minutes."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event

import pytest
import time_machine
from flask import Flask

from chassis.clock import utc_now
from chassis.postgres import Database
from tests.fakes.identity_provider import FakeProvider, anna
from tests.push_blaster.web.access.people_support import PersonVisitor
from tests.push_blaster.web.page_support import Visitor

ANNA = "Anna Bauer (anna@example.com)"


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(utc_now()) as traveller:
        yield traveller


@pytest.fixture
def visitor(people_app: Flask, clock: time_machine.Traveller) -> PersonVisitor:
    """Anna, an operator who has just signed in."""
    visitor = PersonVisitor(people_app)
    assert visitor.sign_in().status_code == 303
    return visitor


def count_sessions(database: Database) -> int:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM sessions")
        row = cursor.fetchone()
    assert row
    return int(row[0])


def test_the_provider_is_asked_again_after_ten_minutes_and_not_before(
    visitor: PersonVisitor, provider: FakeProvider, clock: time_machine.Traveller
) -> None:
    counts = []
    for minutes in (9, 2, 9, 2):
        clock.shift(timedelta(minutes=minutes))
        assert visitor.name() == ANNA
        counts.append(provider.asked.count("/token"))

    assert counts == [1, 2, 2, 3]


def test_an_answer_from_the_future_keeps_no_role_for_longer(
    visitor: PersonVisitor, provider: FakeProvider, database: Database
) -> None:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE sessions SET checked_at = checked_at + interval '2 hours'")
    provider.say(roles=[])

    assert visitor.name() == ""


@pytest.mark.parametrize("gives_id_token_again", [True, False])
@pytest.mark.parametrize("roles", [None, [], ["strangers"]])
def test_a_role_that_is_withdrawn_ends_every_session_of_the_person(
    visitor: PersonVisitor,
    provider: FakeProvider,
    people_app: Flask,
    clock: time_machine.Traveller,
    database: Database,
    roles: object,
    *,
    gives_id_token_again: bool,
) -> None:
    provider.gives_id_token_again = gives_id_token_again
    elsewhere = PersonVisitor(people_app)
    elsewhere.sign_in()
    provider.say(roles=roles)
    clock.shift(timedelta(minutes=11))

    sent = visitor.client.get("/executions")

    assert (sent.status_code, sent.location) == (303, "/sign-in?next=/executions")
    assert visitor.client.get("/api/executions").status_code == 401
    assert elsewhere.name() == ""
    assert count_sessions(database) == 0


def test_a_role_that_is_lowered_or_raised_counts_at_the_next_check(
    visitor: PersonVisitor, provider: FakeProvider, clock: time_machine.Traveller
) -> None:
    seen = []
    for roles in (["all"], ["admins"], ["team"]):
        provider.say(roles=roles)
        clock.shift(timedelta(minutes=11))
        pages = ("/executions", "/stop-everything", "/tokens")
        seen.append([visitor.client.get(page).status_code for page in pages])

    assert seen == [[200, 403, 403], [200, 200, 200], [200, 200, 403]]


@pytest.mark.parametrize("gives_refresh", [True, False])
def test_an_account_that_is_closed_ends_the_session(
    people_app: Flask, provider: FakeProvider, clock: time_machine.Traveller, *, gives_refresh: bool
) -> None:
    provider.gives_refresh = gives_refresh
    visitor = PersonVisitor(people_app)
    visitor.sign_in()
    provider.withdraw()
    clock.shift(timedelta(minutes=11))

    assert visitor.name() == ""


def test_without_refresh_tokens_the_userinfo_is_asked(
    people_app: Flask, provider: FakeProvider, clock: time_machine.Traveller
) -> None:
    provider.gives_refresh = False
    visitor = PersonVisitor(people_app)
    visitor.sign_in()
    clock.shift(timedelta(minutes=11))

    assert visitor.name() == ANNA
    provider.say(roles=[])
    clock.shift(timedelta(minutes=11))
    assert visitor.name() == ""


@pytest.mark.parametrize("path", ["/token", "/userinfo"])
def test_an_answer_about_another_person_ends_the_session(
    visitor: PersonVisitor, provider: FakeProvider, clock: time_machine.Traveller, path: str
) -> None:
    provider.people["b-1"] = anna(sub="b-1", roles=["admins"])
    tokens = provider.refresh if path == "/token" else provider.access
    provider.gives_id_token_again = path == "/token"
    if path == "/userinfo":
        provider.forge = None
        provider.before_answer = lambda asked: tokens.update(dict.fromkeys(tokens, "b-1"))
    else:
        tokens.update(dict.fromkeys(tokens, "b-1"))
    clock.shift(timedelta(minutes=11))

    assert visitor.name() == ""


AWAY = {
    "it refuses us": (401, b'{"error": "invalid_client"}'),
    "it is busy": (429, b'{"message": "later"}'),
    "it answers a page": (200, b"<html>"),
    "it answers a list": (200, b"[]"),
    "it answers nothing": (200, b""),
    "it leads elsewhere": (302, b"{}"),
    "its token is no text": (200, b'{"access_token": 7}'),
    "its token fits no header": (200, b'{"access_token": "a\\r\\nX: y"}'),
    "it nests": (200, b"[" * 100_000),
}


@pytest.mark.parametrize("answer", AWAY.values(), ids=AWAY)
def test_while_the_provider_is_away_a_session_goes_on_for_15_minutes_and_then_waits_for_it(
    visitor: PersonVisitor,
    provider: FakeProvider,
    clock: time_machine.Traveller,
    answer: tuple[int, bytes],
) -> None:
    provider.answers["/token"] = answer
    names = []
    for minutes in (11, 3, 2):
        clock.shift(timedelta(minutes=minutes))
        names.append(visitor.name())
    provider.answers.clear()

    assert [*names, visitor.name()] == [ANNA, ANNA, "", ANNA]


def test_the_sign_in_page_says_so_and_a_token_gets_in_meanwhile(
    own_people_app: Flask,
    provider: FakeProvider,
    clock: time_machine.Traveller,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    visitor = PersonVisitor(own_people_app)
    visitor.sign_in()
    provider.answers["/token"] = (200, b'{"access_token": "' + b"x" * 600_000 + b'"}')
    clock.shift(timedelta(minutes=16))

    page = visitor.client.get("/executions", follow_redirects=True).text

    assert "The identity provider does not answer" in page
    assert 'name="token"' in page
    assert "Signed in as operator" in Visitor(own_people_app, "operator").get("/executions")
    assert visitor.name() == ""
    del provider.answers["/token"]
    later = time.monotonic() + 11
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert visitor.name() == ANNA


def test_a_provider_that_hangs_delays_nobody_for_long_and_no_stop_at_all(
    own_people_app: Flask, provider: FakeProvider, clock: time_machine.Traveller
) -> None:
    visitor = PersonVisitor(own_people_app)
    visitor.sign_in()
    csrf = visitor.csrf_token()
    hangs = Event()
    provider.before_answer = lambda path: hangs.wait(60)
    clock.shift(timedelta(minutes=11))

    try:
        began = time.perf_counter()
        stop = visitor.client.post("/api/automation/emergency-stop", headers={"X-CSRF-Token": csrf})
        stopped_after = time.perf_counter() - began
        name = visitor.name()
        refused = PersonVisitor(own_people_app).client.get("/sign-in/provider")
        in_all = time.perf_counter() - began
    finally:
        hangs.set()

    assert (stop.status_code, name, refused.status_code) == (200, ANNA, 303)
    assert stopped_after < 2.0
    assert in_all < 20.0


def test_many_requests_at_once_ask_once(
    visitor: PersonVisitor,
    people_app: Flask,
    provider: FakeProvider,
    clock: time_machine.Traveller,
) -> None:
    cookie = visitor.cookie()
    clock.shift(timedelta(minutes=20))
    provider.before_answer = lambda path: Event().wait(0.3)

    def look(_: int) -> str:
        copy = PersonVisitor(people_app)
        copy.take(cookie)
        return copy.name()

    with ThreadPoolExecutor(5) as pool:
        names = list(pool.map(look, range(5)))

    assert names == [ANNA] * 5
    assert provider.asked.count("/token") == 2


def test_a_person_of_another_provider_is_a_stranger(
    visitor: PersonVisitor, database: Database
) -> None:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE people SET issuer = 'https://before.example.com'")

    assert visitor.name() == ""
