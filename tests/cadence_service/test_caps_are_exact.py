"""Many callers and replicas, overlapping audiences: no cap leaks, and nobody is refused in vain."""

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import requests

from cadence_service.app import create_app
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from tests.cadence_service.settings import CADENCE_TOKEN, cadence_settings
from tests.serving import serving

CALLERS = 16
REPLICAS = 3
USERS = 400
ROUNDS = 4
AUDIENCE = 150


@pytest.fixture
def replicas(cadence_database: BulkDatabase) -> Iterator[list[str]]:
    settings = cadence_settings(cadence_database.url)
    with ExitStack() as stack:
        yield [stack.enter_context(serving(create_app(settings))) for _ in range(REPLICAS)]


def test_no_cap_leaks_and_no_slot_is_wasted(
    replicas: list[str], cadence_database: BulkDatabase
) -> None:
    now = utc_now()
    dice = random.Random(7)  # noqa: S311 - a sample, no secret
    users = [UUID(int=dice.getrandbits(128)) for _ in range(USERS)]
    refused: set[tuple[UUID, int]] = set()

    def call(number: int) -> None:
        own_dice = random.Random(number)  # noqa: S311 - a sample, no secret
        for turn in range(ROUNDS):
            layer = own_dice.choice([2, 3])
            at = now + timedelta(minutes=own_dice.randrange(-300, 300))
            audience = own_dice.sample(users, AUDIENCE)
            answer = _ask(replicas[number % REPLICAS], f"{number}/{turn}", layer, at, audience)
            eligible = {UUID(text) for text in answer["eligibleUserIds"]}
            assert not answer["failedOpen"]
            refused.update((user, layer) for user in audience if user not in eligible)

    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(call, range(CALLERS)))

    taken = _taken(cadence_database)
    together = Counter(user for user, _ in taken.elements())
    assert max(count for (_, layer), count in taken.items() if layer == 3) == 1
    assert max(together.values()) == 3
    for user, layer in refused:
        is_full = together[user] == 3 or (layer == 3 and taken[user, 3] == 1)
        assert is_full, "refused while there was room"


def _ask(url: str, key: str, layer: int, at: Any, audience: list[UUID]) -> dict[str, Any]:
    body = {
        "userIds": [str(user) for user in audience],
        "layerId": layer,
        "scheduledFor": at.isoformat(),
        "reservation": {"key": key},
    }
    headers = {"Authorization": f"Bearer {CADENCE_TOKEN}"}
    response = requests.post(f"{url}/filter-audience", json=body, headers=headers, timeout=60)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def _taken(database: BulkDatabase) -> Counter[tuple[UUID, int]]:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT user_id, layer_id FROM held_slots JOIN reservations ON id = reservation_id"
        )
        return Counter((user, layer) for user, layer in cursor)
