"""Reservations that are decided, settled and released at the same instant, on two replicas."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest
import requests

from cadence_service.use_cases.prune import prune
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from chassis.rows import execute, fetch_value
from tests.cadence_service.replicas import (
    call,
    release,
    reserve,
    running_replicas,
    settle,
    spread_users,
)
from tests.people import ALICE, BOB

#: So many that a decision takes many parts.
LARGE = spread_users(60_000)
WITHOUT_OWNER = """
    SELECT count(*) FROM held_slots h
     WHERE NOT EXISTS (SELECT 1 FROM reservations r
                        WHERE r.id = h.reservation_id AND r.state IN ('reserved', 'expired'))
"""


@pytest.fixture
def replicas(cadence_database: BulkDatabase) -> Iterator[list[str]]:
    with running_replicas(cadence_database.url, 2) as urls:
        yield urls


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def ask(database: BulkDatabase, sql: str, *values: object) -> Any:
    with database.transaction() as connection:
        return fetch_value(connection, sql, values)


def run_out(database: BulkDatabase, key: str) -> None:
    with database.transaction() as connection:
        passed = "UPDATE reservations SET expires_at = now() - interval '1 s' WHERE key = %s"
        execute(connection, passed, [key])


def wait_until_begun(database: BulkDatabase, key: str) -> None:
    """Return when a part of the audience of `key` has been decided, and others have not."""
    parts = (
        "SELECT count(*) FROM reservation_parts p JOIN reservations r ON r.id = p.reservation_id"
        " WHERE r.key = %s"
    )
    give_up_at = time.monotonic() + 20
    while not ask(database, parts, key):
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


def wait_for(future: "Future[requests.Response]") -> requests.Response:
    return future.result(timeout=60)


class Meeting(NamedTuple):
    """A reservation that was refused, because it ended while it was decided."""

    key: str
    refused: requests.Response
    tries: int


def end_while_decided(
    replicas: list[str], database: BulkDatabase, end: Callable[[str], object], after_s: float = 0
) -> Meeting:
    """Ask for reservations until one of them is still being decided when `end` ends it.

    On a busy machine a decision may be faster than what ends it.
    """
    with ThreadPoolExecutor(1) as pool:
        for tries, key in enumerate(("a1", "a2", "a3", "a4", "a5"), start=1):
            asked = pool.submit(reserve, replicas[0], key, LARGE)
            wait_until_begun(database, key)
            time.sleep(after_s)
            end(key)
            answer = wait_for(asked)
            if answer.status_code == 409:
                return Meeting(key, answer, tries)
            release(replicas[1], key)
    pytest.fail("Each decision was faster than what ended it.")


@pytest.mark.parametrize("turn", range(3))
def test_a_reservation_that_is_released_while_it_is_decided_says_so_and_holds_nothing(
    replicas: list[str], cadence_database: BulkDatabase, turn: int
) -> None:
    def end(key: str) -> None:
        assert release(replicas[1], key).status_code == 200

    meeting = end_while_decided(replicas, cadence_database, end, after_s=0.02 * turn)

    assert ask(cadence_database, "SELECT count(*) FROM held_slots") == 0
    assert "is released: it ended while it was decided" in meeting.refused.json()["detail"]
    assert len(reserve(replicas[1], "b", LARGE).json()["eligibleUserIds"]) == len(LARGE)


def test_a_reservation_that_runs_out_while_it_is_decided_says_so(
    replicas: list[str], cadence_database: BulkDatabase
) -> None:
    meeting = end_while_decided(
        replicas, cadence_database, lambda key: run_out(cadence_database, key)
    )

    assert "is expired: it ended while it was decided" in meeting.refused.json()["detail"]
    again = reserve(replicas[1], meeting.key, LARGE)
    assert len(again.json()["eligibleUserIds"]) == len(LARGE), "it can be asked for anew"
    assert ask(cadence_database, "SELECT count(*) FROM held_slots") == len(LARGE)


def test_a_settlement_while_it_is_decided_leaves_no_slot_behind(
    replicas: list[str], cadence_database: BulkDatabase
) -> None:
    def end(key: str) -> None:
        assert settle(replicas[1], key, sentUserIds=[str(LARGE[0])]).status_code == 200

    meeting = end_while_decided(replicas, cadence_database, end)

    assert ask(cadence_database, "SELECT count(*) FROM held_slots") == 0
    assert ask(cadence_database, "SELECT count(*) FROM user_notifications") == meeting.tries


@pytest.mark.parametrize("ran_out", [False, True], ids=["in time", "after it ran out"])
def test_the_same_settlement_at_two_replicas_at_once_counts_once(
    replicas: list[str], cadence_database: BulkDatabase, pool: ThreadPoolExecutor, *, ran_out: bool
) -> None:
    users = LARGE[:5_000]
    reserve(replicas[0], "a", users)
    if ran_out:
        run_out(cadence_database, "a")
        prune(cadence_database, timedelta(days=90), utc_now())
    sent = [str(user) for user in users]

    answers = [pool.submit(settle, url, "a", sentUserIds=sent) for url in replicas * 2]

    assert [wait_for(a).json()["recorded"] for a in answers] == [5_000] * 4
    assert ask(cadence_database, "SELECT count(*) FROM user_notifications") == 5_000
    late = sorted(wait_for(a).json()["late"] for a in answers)
    assert late == [0, 0, 0, 5_000 if ran_out else 0]


def test_the_same_late_users_without_slots_count_once(
    replicas: list[str], cadence_database: BulkDatabase, pool: ThreadPoolExecutor
) -> None:
    reserve(replicas[0], "a", [ALICE])
    release(replicas[0], "a")
    sent = [str(user) for user in LARGE[:2_000]]

    answers = [pool.submit(settle, url, "a", sentUserIds=sent) for url in replicas * 2]

    assert sorted(wait_for(a).json()["late"] for a in answers) == [0, 0, 0, 2_000]
    assert ask(cadence_database, "SELECT count(*) FROM user_notifications") == 2_000


def test_who_was_sent_to_is_known_by_who_failed_after_the_slots_ran_out(
    replicas: list[str], cadence_database: BulkDatabase
) -> None:
    reserve(replicas[0], "a", [ALICE, BOB])
    run_out(cadence_database, "a")
    prune(cadence_database, timedelta(days=90), utc_now())

    done = settle(replicas[1], "a", failedUserIds=[str(BOB)]).json()
    repeated = settle(replicas[0], "a", failedUserIds=[str(BOB)])

    assert (done["recorded"], done["late"], done["released"]) == (1, 1, 1)
    assert (repeated.status_code, repeated.json()["recorded"]) == (200, 0)
    assert ask(cadence_database, "SELECT user_id FROM user_notifications") == ALICE


@pytest.mark.parametrize("how", ["released", "long ago"])
def test_a_settlement_that_nobody_can_understand_any_more_is_refused(
    replicas: list[str], cadence_database: BulkDatabase, how: str
) -> None:
    reserve(replicas[0], "a", [ALICE, BOB])
    if how == "released":
        release(replicas[0], "a")
    else:
        run_out(cadence_database, "a")
        prune(cadence_database, timedelta(days=90), utc_now() + timedelta(days=8))

    refused = settle(replicas[1], "a", failedUserIds=[str(BOB)])

    assert refused.status_code == 409
    assert "Send sentUserIds instead" in refused.json()["detail"]
    assert settle(replicas[1], "a", sentUserIds=[str(ALICE)]).json()["late"] == 1


def test_a_settlement_of_nobody_can_be_repeated(replicas: list[str]) -> None:
    reserve(replicas[0], "a", [ALICE])
    reserve(replicas[0], "nobody has room", [ALICE])

    answers = [settle(url, "a", failedUserIds=[str(ALICE)]) for url in replicas]
    answers += [settle(url, "nobody has room", failedUserIds=[]) for url in replicas]

    assert [answer.status_code for answer in answers] == [200] * 4


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ({}, {}),
        ({"scheduledFor": "2026-11-24T12:30:00+01:00"}, {"scheduledFor": "2026-11-24T11:30:00Z"}),
    ],
    ids=["no instant", "another offset"],
)
def test_the_same_question_in_other_words_is_the_same_question(
    replicas: list[str], cadence_database: BulkDatabase, first: Any, again: Any
) -> None:
    answers = [reserve(replicas[0], "a", [ALICE], **first)]
    answers.append(reserve(replicas[1], "a", [UUID(ALICE.hex.upper())], **again))

    assert [a.status_code for a in answers] == [200, 200]
    assert answers[0].json()["eligibleUserIds"] == answers[1].json()["eligibleUserIds"]
    assert ask(cadence_database, "SELECT count(*) FROM held_slots") == 1
    assert (
        reserve(replicas[0], "a", [ALICE], scheduledFor="2026-11-24T11:31:00Z").status_code == 409
    )


def test_a_notification_under_a_key_keeps_its_own_layer_and_instant(
    replicas: list[str], cadence_database: BulkDatabase
) -> None:
    planned = utc_now().replace(microsecond=0)
    own = planned + timedelta(hours=1)
    reserve(replicas[0], "a", [ALICE, BOB], scheduledFor=planned.isoformat())
    texts = {"pushTitle": "T", "pushBody": "B", "audienceDescription": "A"}
    notifications = [
        {"userId": str(ALICE), "layerId": 2, "sentAt": own.isoformat(), **texts},
        {"userId": str(BOB), "layerId": 3, **texts},
    ]

    body = {"reservationKey": "a", "notifications": notifications}
    assert call("POST", f"{replicas[0]}/track-notification", json=body).status_code == 200

    with cadence_database.transaction() as connection:
        rows = connection.execute(
            "SELECT user_id, layer_id, sent_at FROM user_notifications ORDER BY layer_id"
        ).fetchall()
    assert rows == [(ALICE, 2, own), (BOB, 3, planned)]
    assert ask(cadence_database, "SELECT count(*) FROM held_slots") == 0


def test_rules_that_are_removed_change_no_answer_that_was_given(replicas: list[str]) -> None:
    reserve(replicas[0], "before", [BOB])
    first = reserve(replicas[0], "a", [ALICE, BOB]).json()
    call("PUT", f"{replicas[0]}/rules", json={"rules": []})

    again = reserve(replicas[1], "a", [ALICE, BOB]).json()

    assert first["eligibleUserIds"] == again["eligibleUserIds"] == [str(ALICE)]
    assert again["failedOpen"] is False
    assert first["exclusionBreakdown"] == again["exclusionBreakdown"]


def test_pruning_finds_slots_without_an_owner(cadence_database: BulkDatabase) -> None:
    with cadence_database.transaction() as connection:
        execute(
            connection, "INSERT INTO held_slots VALUES (%s, 999999), (%s, 999999)", [ALICE, BOB]
        )

    done = prune(cadence_database, timedelta(days=90), utc_now())

    assert done.slots == 2
    assert ask(cadence_database, WITHOUT_OWNER) == 0
