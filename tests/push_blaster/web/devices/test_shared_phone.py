"""Users who share a phone: whoever signed in last has it, whatever any clock says."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from uuid import UUID, uuid4

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.devices.device_table import select_living
from push_blaster.app import create_app
from push_blaster.wiring import connect_adapters
from tests.push_blaster.identity import app_of
from tests.push_blaster.settings import settings_for


@pytest.fixture
def replicas(app: Flask, push_url: str, database: Database, tmp_path: Path) -> list[Flask]:
    """Two web processes."""
    own = settings_for(push_url, tmp_path)
    return [app, create_app(own, replace(connect_adapters(own), database=database))]


@dataclass(frozen=True)
class Call:
    """A call of a user's app on the shared phone, whose clock is some minutes off."""

    user: int
    signs_in: bool
    clock: int
    replica: int

    def make(self, replicas: list[Flask], users: list[UUID], token: str) -> None:
        app = app_of(replicas[self.replica], users[self.user])
        if self.signs_in:
            seen = utc_now() + timedelta(minutes=self.clock)
            app.post("/api/devices", json={"token": token, "lastSeenAt": seen.isoformat()})
        else:
            app.delete("/api/devices", query_string={"token": token})


CALLS = st.lists(
    st.builds(
        Call,
        user=st.integers(0, 1),
        signs_in=st.booleans(),
        clock=st.integers(-10, 10),
        replica=st.integers(0, 1),
    ),
    min_size=1,
    max_size=6,
)


def owner_of(database: Database, token: str) -> UUID | None:
    with database.transaction() as connection:
        return next((user for _, user in select_living(connection, [token])), None)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(calls=CALLS)
def test_the_last_to_sign_in_has_the_phone_in_every_order_of_calls(
    replicas: list[Flask], database: Database, calls: list[Call]
) -> None:
    users, token = [uuid4(), uuid4()], f"phone-{uuid4()}"
    expected: UUID | None = None
    for call in calls:
        user = users[call.user]
        expected = user if call.signs_in else None if expected == user else expected

    for call in calls:
        call.make(replicas, users, token)

    assert owner_of(database, token) == expected


def test_two_users_at_once_leave_the_phone_with_one_of_them(
    replicas: list[Flask], database: Database
) -> None:
    users, token, begin = [uuid4(), uuid4()], f"phone-{uuid4()}", Barrier(2)
    calls = [Call(user=n, signs_in=True, clock=10 * (1 - 2 * n), replica=n) for n in (0, 1)]

    def make(call: Call) -> None:
        begin.wait()
        call.make(replicas, users, token)

    with ThreadPoolExecutor(2) as pool:
        for _ in range(10):
            list(pool.map(make, calls))

            assert owner_of(database, token) in users


def test_the_owner_is_whoever_the_database_served_last(
    replicas: list[Flask], database: Database
) -> None:
    users, token = [uuid4(), uuid4()], f"phone-{uuid4()}"
    for number in (0, 1, 0, 1, 0):
        Call(user=number, signs_in=True, clock=10 - 20 * number, replica=number).make(
            replicas, users, token
        )

        assert owner_of(database, token) == users[number]
