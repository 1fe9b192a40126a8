"""Everything at once over three replicas: caps, slots and history stay exact.

PUSH_MIX_SECONDS says how long; `make stories` mixes for a minute.
"""

import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event, Lock
from typing import Final
from uuid import UUID

import pytest

from cadence_service.use_cases.prune import prune
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from chassis.rows import fetch_all, fetch_value
from tests.cadence_service.replicas import call, release, reserve, running_replicas, settle

SECONDS: Final = float(os.environ.get("PUSH_MIX_SECONDS", "15"))  # noqa: TID251 - how long to mix
CALLERS: Final = 9
USERS: Final = [UUID(int=n * (2**128 // 900) + 7) for n in range(900)]
#: The cap that callers work under; rules that are changed meanwhile never loosen it.
MAX_COUNT: Final = 2
RULE: Final = {
    "name": "cap",
    "appliesToLayers": [3],
    "countedLayers": [3],
    "windowHours": 72,
    "maxCount": MAX_COUNT,
}
WITHOUT_OWNER: Final = """
    SELECT count(*) FROM held_slots h
     WHERE NOT EXISTS (SELECT 1 FROM reservations r
                        WHERE r.id = h.reservation_id AND r.state IN ('reserved', 'expired'))
"""


@dataclass
class Told:
    """What callers were told: who is sent to under which key; and how often what was done."""

    sent: dict[str, list[UUID]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    lock: Lock = field(default_factory=Lock)

    def note(self, what: str) -> None:
        with self.lock:
            self.counts[what] += 1


@pytest.fixture
def replicas(cadence_database: BulkDatabase) -> Iterator[list[str]]:
    with running_replicas(cadence_database.url, 3) as urls:
        assert call("PUT", f"{urls[0]}/rules", json={"rules": [RULE]}).status_code == 200
        yield urls


def test_caps_slots_and_history_stay_exact(
    replicas: list[str], cadence_database: BulkDatabase
) -> None:
    told, ended, at = Told(), Event(), utc_now()
    with ThreadPoolExecutor(CALLERS + 2) as pool:
        callers = [pool.submit(_call, replicas, n, at, told, ended) for n in range(CALLERS)]
        keepers = [
            pool.submit(_keep_pruning, cadence_database, ended),
            pool.submit(_keep_changing_rules, replicas, ended),
        ]
        ended.wait(SECONDS)
        ended.set()
        for future in [*callers, *keepers]:
            future.result()

    with cadence_database.transaction() as connection:
        history = Counter(fetch_all(connection, "SELECT user_id, layer_id FROM user_notifications"))
        without_owner = fetch_value(connection, WITHOUT_OWNER)
        held = Counter(
            user
            for (user,) in fetch_all(
                connection,
                "SELECT user_id FROM held_slots JOIN reservations r ON r.id = reservation_id"
                " WHERE r.state = 'reserved' AND r.expires_at > now()",
            )
        )
    expected = Counter((user, 3) for users in told.sent.values() for user in users)
    used = Counter({user: count for (user, _), count in history.items()}) + held
    assert history == expected, "history is what callers were told"
    assert max(used.values(), default=0) <= MAX_COUNT, "nobody is over a cap"
    assert without_owner == 0
    assert told.counts["reserved"] > 10, told.counts
    assert told.counts["settled"] > 5, told.counts
    assert told.counts["released"] > 5, told.counts
    _check_that_room_is_given(replicas[0], at, used)


def _check_that_room_is_given(url: str, at: datetime, used: "Counter[UUID]") -> None:
    """When all is quiet, everybody with room is eligible, and nobody else."""
    answer = reserve(url, "at the end", USERS, scheduledFor=at.isoformat()).json()
    eligible = {UUID(text) for text in answer["eligibleUserIds"]}
    assert answer["failedOpen"] is False
    assert eligible == {user for user in USERS if used[user] < MAX_COUNT}


def _call(replicas: list[str], number: int, at: datetime, told: Told, ended: Event) -> None:
    """Reserve for samples of the users; then settle, release, repeat, or let the time run out."""
    dice = random.Random(number)  # noqa: S311 - a sample, no secret
    for turn in range(100_000):
        if ended.is_set():
            return
        key, audience = f"{number}/{turn}", dice.sample(USERS, dice.choice([5, 40, 200]))
        url = dice.choice(replicas)
        runs_out = dice.random() < 0.2
        more = {"scheduledFor": at.isoformat(), "ttlSeconds": 1 if runs_out else 600}
        answer = reserve(url, key, audience, **more)
        if answer.status_code == 409 and runs_out:
            continue
        assert answer.status_code == 200, answer.text
        assert answer.json()["failedOpen"] is False, answer.text
        told.note("reserved")
        eligible = [UUID(text) for text in answer.json()["eligibleUserIds"]]
        if runs_out:
            continue
        if dice.random() < 0.3:
            repeated = reserve(dice.choice(replicas), key, audience, **more).json()
            assert [UUID(text) for text in repeated["eligibleUserIds"]] == eligible
            told.note("repeated")
        _finish(dice, replicas, key, eligible, told)


def _finish(
    dice: random.Random, replicas: list[str], key: str, eligible: list[UUID], told: Told
) -> None:
    url, again = dice.choice(replicas), dice.choice(replicas)
    sent = dice.sample(eligible, len(eligible) // 2)
    choice = dice.random()
    if choice < 0.4:
        who = {"sentUserIds": [str(user) for user in sent]}
    elif choice < 0.6:
        who = {"failedUserIds": [str(user) for user in set(eligible) - set(sent)]}
    elif choice < 0.9:
        assert release(url, key).json() == {"released": len(eligible)}
        told.note("released")
        return
    else:
        return  # it stays reserved
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda where: settle(where, key, **who), (url, again)))
    assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
    told.note("settled")
    with told.lock:
        told.sent[key] = sent


def _keep_pruning(database: BulkDatabase, ended: Event) -> None:
    while not ended.wait(0.5):
        assert prune(database, timedelta(days=90), utc_now()).slots == 0


def _keep_changing_rules(replicas: list[str], ended: Event) -> None:
    """Change what does not matter to the cap, and import history that does not count."""
    other = {**RULE, "name": "other", "appliesToLayers": [2], "countedLayers": [2]}
    turns: dict[str, int] = defaultdict(int)
    while not ended.wait(0.7):
        turns["all"] += 1
        rules = [RULE, {**other, "maxCount": turns["all"] % 5 + 1}]
        url = replicas[turns["all"] % len(replicas)]
        assert call("PUT", f"{url}/rules", json={"rules": rules}).status_code == 200
        _import_and_undo(url)


def _import_and_undo(url: str) -> None:
    long_ago = (utc_now() - timedelta(days=30)).isoformat()
    lines = ["user_id,layer_id,push_title,sent_at", *(f"{u},3,T,{long_ago}" for u in USERS[:50])]
    file = ("history.csv", "\n".join(lines).encode())
    made = call("POST", f"{url}/restore-historical-data", files={"file": file})
    assert made.status_code == 200, made.text
    undone = call("DELETE", f"{url}/imports/{made.json()['details']['importId']}")
    assert undone.json() == {"removed": 50}
    time.sleep(0.1)
