"""Many callers reserve at once on three replicas; then the table is asked whether caps held."""

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from uuid import UUID

import orjson

from chassis.clock import utc_now
from chassis.postgres import Database
from tests.bench.cadence_service import Service, running

CALLERS: Final = 16
REPLICAS: Final = 3
USERS: Final = 200_000
AUDIENCE: Final = 16_000
ROUNDS: Final = 4


def measure_exactness(database: Database) -> None:
    """Print how many slots a second were asked for, and how often a cap was broken or missed."""
    dice = random.Random(11)  # noqa: S311 - a sample, no secret
    users = [str(UUID(int=dice.getrandbits(128))) for _ in range(USERS)]
    at = utc_now().isoformat()
    with running(database.url, REPLICAS) as services, ThreadPoolExecutor(CALLERS) as callers:
        begun = time.perf_counter()
        refused = set().union(
            *callers.map(
                lambda number: _call(services[number % REPLICAS], number, users, at),
                range(CALLERS),
            )
        )
        taken = time.perf_counter() - begun
    held = _held(database)
    together: Counter[str] = Counter()
    for (user, _), count in held.items():
        together[user] += count
    over = sum(count > 1 for (_, layer), count in held.items() if layer == 3)
    over += sum(count > 3 for count in together.values())
    needless = sum(
        together[user] < 3 and not (layer == 3 and held[user, 3]) for user, layer in refused
    )
    asked = CALLERS * ROUNDS * AUDIENCE
    print(f"\n{CALLERS} callers over {REPLICAS} replicas, {asked:,} user-slots asked for")
    print(f"  {asked / taken:,.0f} user-slots/s, {held.total():,} taken, {len(refused):,} refused")
    print(f"  {over} over a cap, {needless} refused while there was room", flush=True)
    if over or needless:
        raise RuntimeError("Caps are not exact.")


def _call(service: Service, number: int, users: list[str], at: str) -> set[tuple[str, int]]:
    """Ask for audiences of one caller; return who was refused, on which layer."""
    dice = random.Random(number)  # noqa: S311 - a sample, no secret
    client = Service(service.url, service.token)
    refused: set[tuple[str, int]] = set()
    for turn in range(ROUNDS):
        layer, audience = dice.choice([2, 3]), dice.sample(users, AUDIENCE)
        wish = {"key": f"exact/{number}/{turn}", "ttlSeconds": 3_600}
        body = {"userIds": audience, "layerId": layer, "scheduledFor": at, "reservation": wish}
        answer = orjson.loads(client.post("/filter-audience", body))
        if answer["failedOpen"]:
            raise RuntimeError(answer["failOpenReason"])
        eligible = set(answer["eligibleUserIds"])
        refused.update((user, layer) for user in audience if user not in eligible)
    return refused


def _held(database: Database) -> "Counter[tuple[str, int]]":
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT user_id::text, layer_id, count(*) FROM held_slots"
            " JOIN reservations ON id = reservation_id WHERE key LIKE 'exact/%' GROUP BY 1, 2"
        )
        return Counter({(user, layer): count for user, layer, count in cursor})
