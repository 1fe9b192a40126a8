"""The sample of users: who is in it, what is noted of their pushes, and how small it stays."""

from datetime import timedelta
from uuid import UUID

import pytest

from chassis.postgres import Database
from chassis.rows import execute, fetch_value, fetch_values
from push_blaster.adapters.engagement import push_sample
from push_blaster.adapters.engagement.push_sample import KEPT_FOR, delete_old_samples
from push_blaster.domain.executions.modes import Mode
from push_blaster.use_cases.delivery.close_batches import close_batches
from tests.people import ALICE, BOB
from tests.push_blaster.bench import Bench
from tests.push_blaster.fatigue_support import (
    DAY,
    NOW,
    Got,
    Planned,
    read_rows,
    sample_pushes,
    send_pushes,
)

HOUR = timedelta(hours=1)


def read_users(database: Database) -> set[UUID]:
    with database.transaction() as connection:
        return set(fetch_values(connection, "SELECT user_id FROM sampled_pushes"))


def test_a_real_send_is_sampled_and_tests_are_not(bench: Bench) -> None:
    execution_id = bench.start(parameters={"users": 60}, settings={"holdoutPercent": 20})
    bench.run(execution_id)
    bench.run(bench.start(Mode.REAL_DRY_RUN))
    bench.now += timedelta(minutes=1)

    close_batches(bench.context)
    sample_pushes(bench.database, bench.now)
    early = read_rows(bench.database)
    sample_pushes(bench.database, bench.now + DAY)

    assert early == []
    rows = read_rows(bench.database)
    assert 30 <= len(rows) == bench.funnel(execution_id)["sent"] < 60
    assert {row[1:] for row in rows} == {(0, False, False)}


def test_a_push_knows_the_pushes_of_seven_days_and_what_its_user_did(database: Database) -> None:
    days = (20, 14, 13.5, 13, 6.01, 5)
    opened = (HOUR, None, 25 * HOUR, 24 * HOUR, None, None)
    pushes = [
        Planned(NOW - ago * DAY, [Got(ALICE, opened=after)])
        for ago, after in zip(days, opened, strict=True)
    ]
    pushes.append(Planned(NOW - 2 * DAY, [Got(ALICE, opted_out=HOUR)]))

    send_pushes(database, pushes)

    assert [row[1:] for row in read_rows(database)] == [
        (0, True, False),
        (1, False, False),  # 20 and 14 days ago: less than 7 days apart
        (2, False, False),  # opened, but after a day
        (2, True, False),  # the first one is exactly 7 days older, and no longer counts
        (1, False, False),
        (1, False, False),
        (2, False, True),
    ]


def test_what_is_no_push_to_a_user_counts_for_nothing_but_the_plan(database: Database) -> None:
    states = ("held_back", "opted_out", "failed", "in_doubt", "no_token")
    pushes = [Planned(NOW - (9 - n) * DAY, [Got(ALICE, one)]) for n, one in enumerate(states)]
    pushes.append(Planned(NOW - 9 * DAY, [Got(BOB, "holdout"), Got(UUID(int=5), "sent_before")]))
    pushes.append(Planned(NOW - 9 * DAY, [Got(BOB)], is_counted=False))
    pushes.append(Planned(NOW - 3 * DAY, [Got(ALICE)]))

    send_pushes(database, pushes)

    assert read_rows(database) == [(ALICE, 0, False, False)]
    assert read_users(database) == {ALICE}


def test_a_deferred_user_counts_at_the_users_own_time(database: Database) -> None:
    evening = NOW - 3 * DAY + 6 * HOUR
    got = Got(ALICE, opened=29 * HOUR, held_until=evening)
    send_pushes(database, [Planned(NOW - 3 * DAY, [got, Got(BOB, opened=29 * HOUR)])])

    assert read_rows(database) == [(BOB, 0, False, False), (ALICE, 0, True, False)]


def test_a_push_is_finished_when_its_day_is_over_and_only_once(database: Database) -> None:
    send_pushes(database, [Planned(NOW - 23 * HOUR, [Got(ALICE, opened=HOUR)])])
    early = read_rows(database)
    sample_pushes(database, NOW + HOUR)
    finished = read_rows(database)
    with database.transaction() as connection:
        execute(connection, "DELETE FROM events")

    sample_pushes(database, NOW + DAY)

    assert early == []
    assert finished == read_rows(database) == [(ALICE, 0, True, False)]


def test_the_sample_is_halved_until_it_is_small_and_its_users_stay(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_sample, "MAX_ROWS", 150)
    users = [Got(UUID(int=n)) for n in range(1, 401)]
    try:
        send_pushes(database, [Planned(NOW - 9 * DAY, users)])
        first = read_users(database)
        send_pushes(database, [Planned(NOW - 2 * DAY, users, number=2)])
        second = read_users(database)
        with database.transaction() as connection:
            halvings = fetch_value(connection, "SELECT halvings FROM user_sample")
    finally:
        with database.transaction() as connection:
            execute(connection, "UPDATE user_sample SET halvings = 0")

    assert 60 < len(first) <= 150
    assert second < first
    assert 30 < len(second) <= 75
    assert halvings == 3


def test_old_rows_go_piece_by_piece(database: Database) -> None:
    ages = (60, 50, 38, 36)
    send_pushes(database, [Planned(NOW - ago * DAY, [Got(ALICE)]) for ago in ages])

    with database.transaction() as connection:
        pieces = [delete_old_samples(connection, NOW - KEPT_FOR, 2) for _ in range(3)]

    assert pieces == [2, 1, 0]
    assert len(read_rows(database)) == 1
