"""The service beside a model of it: a thousand stories, and the same verdict at every turn.

PUSH_STORIES says how many; `make stories STORIES=` tries more.

The model knows nothing of indexes, spans or locks. It keeps a list, and tries every window.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final
from uuid import UUID

from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from chassis.rows import execute

STORIES: Final = int(os.environ.get("PUSH_STORIES", "400"))  # noqa: TID251 - how many to try
LAYERS: Final = (1, 2, 3, 5)
EXEMPT: Final = 1
NOON: Final = utc_now().replace(microsecond=0)
TEXTS: Final = {"pushTitle": "T", "pushBody": "B", "audienceDescription": "A"}
_numbers: Final = count(1)


@dataclass(frozen=True)
class Rule:
    applies: frozenset[int]
    counts: frozenset[int]
    hours: int
    max_count: int


@dataclass(frozen=True)
class Turn:
    what: str
    layer: int
    hour: int
    users: tuple[int, ...]
    key: int


@dataclass
class Held:
    layer: int
    hour: int
    asked: tuple[int, ...]
    eligible: list[int]
    capped: dict[str, int]
    state: str = "reserved"


@dataclass
class Model:
    """What should be true: who was sent what, and who holds what."""

    rules: list[Rule]
    sends: list[tuple[int, int, int]] = field(default_factory=list)
    held: dict[int, Held] = field(default_factory=dict)

    def find_capped(self, user: int, layer: int, hour: int) -> str | None:
        """Return the first rule that a send would break, by trying every window that holds it."""
        if layer == EXEMPT:
            return None
        for number, rule in enumerate(self.rules):
            counted = [h for u, other, h in self._all() if u == user and other in rule.counts]
            ends = [hour, *(h for h in counted if hour < h < hour + rule.hours)]
            windows = [sum(end - rule.hours < h <= end for h in counted) for end in ends]
            if layer in rule.applies and max(windows) >= rule.max_count:
                return f"r{number}"
        return None

    def _all(self) -> Iterator[tuple[int, int, int]]:
        yield from self.sends
        for one in self.held.values():
            if one.state == "reserved":
                yield from ((user, one.layer, one.hour) for user in one.eligible)

    def judge(self, turn: Turn) -> Held:
        found = {user: self.find_capped(user, turn.layer, turn.hour) for user in turn.users}
        eligible = [user for user, rule in found.items() if rule is None]
        capped = {f"r{n}": list(found.values()).count(f"r{n}") for n in range(len(self.rules))}
        return Held(turn.layer, turn.hour, turn.users, eligible, capped)


layers = st.frozensets(st.sampled_from(LAYERS), min_size=1)
rules = st.builds(Rule, layers, layers, st.integers(1, 12), st.integers(1, 3))
turns = st.builds(
    Turn,
    st.sampled_from(
        ["track", "filter", "reserve", "reserve", "repeat", "settle", "fail", "release", "expire"]
    ),
    st.sampled_from(LAYERS),
    st.integers(-12, 12),
    st.lists(st.integers(0, 2), min_size=1, unique=True).map(tuple),
    st.integers(0, 2),
)


@settings(
    max_examples=STORIES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(rules, min_size=1, max_size=3), st.lists(turns, min_size=1, max_size=8))
def test_the_service_says_what_the_model_says(
    cadence: FlaskClient, database: BulkDatabase, told: list[Rule], story: list[Turn]
) -> None:
    world = World(cadence, database, Model(told))
    shapes = [_shape(number, rule) for number, rule in enumerate(told)]
    assert cadence.put("/rules", json={"rules": shapes}).status_code == 200
    for turn in story:
        getattr(world, f"do_{turn.what}")(turn)


class World:
    """The service and the model, moved on together."""

    def __init__(self, client: FlaskClient, database: BulkDatabase, model: Model) -> None:
        self.client, self.database, self.model = client, database, model
        self.story = next(_numbers)
        self.users = [UUID(int=self.story * 2**64 + n) for n in range(3)]
        self.sent: defaultdict[int, set[int]] = defaultdict(set)

    def do_track(self, turn: Turn) -> None:
        user = turn.users[0]
        body = {"userId": str(self.users[user]), "layerId": turn.layer, "sentAt": _at(turn.hour)}
        assert self.client.post("/track-notification", json={**body, **TEXTS}).status_code == 200
        self.model.sends.append((user, turn.layer, turn.hour))

    def do_filter(self, turn: Turn) -> None:
        self._compare(self._ask(turn.layer, turn.hour, turn.users, None), self.model.judge(turn))

    def do_reserve(self, turn: Turn) -> None:
        if turn.key in self.model.held:
            return
        expected = self.model.judge(turn)
        self._compare(self._ask(turn.layer, turn.hour, turn.users, turn.key), expected)
        self.model.held[turn.key] = expected

    def do_repeat(self, turn: Turn) -> None:
        held = self.model.held.get(turn.key)
        if held is None:
            return
        if held.state == "expired":  # it begins anew
            again = Turn("reserve", held.layer, held.hour, held.asked, turn.key)
            held = self.model.held[turn.key] = self.model.judge(again)
        answer = self._ask(held.layer, held.hour, held.asked, turn.key)
        if held.state == "reserved":
            self._compare(answer, held)
        else:
            assert answer.status_code == 409

    def do_settle(self, turn: Turn) -> None:
        held = self.model.held.get(turn.key)
        if held is None:
            return
        sent = [user for user in held.eligible if user in turn.users]
        self._settle(turn.key, held, sent, sentUserIds=[str(self.users[user]) for user in sent])

    def do_fail(self, turn: Turn) -> None:
        held = self.model.held.get(turn.key)
        if held is None or held.state not in {"reserved", "expired"}:
            return
        failed = [user for user in held.eligible if user in turn.users]
        sent = [user for user in held.eligible if user not in turn.users]
        self._settle(turn.key, held, sent, failedUserIds=[str(self.users[u]) for u in failed])

    def do_release(self, turn: Turn) -> None:
        held = self.model.held.get(turn.key)
        if held is None:
            return
        released = self.client.delete(f"/reservations/{self._key(turn.key)}").get_json()["released"]
        assert released == (len(held.eligible) if held.state in {"reserved", "expired"} else 0)
        held.state = "settled"

    def do_expire(self, turn: Turn) -> None:
        held = self.model.held.get(turn.key)
        if held is None or held.state != "reserved":
            return
        with self.database.transaction() as connection:
            passed = "UPDATE reservations SET expires_at = now() - interval '1 s' WHERE key = %s"
            execute(connection, passed, [self._key(turn.key)])
        held.state = "expired"

    def _settle(self, key: int, held: Held, sent: list[int], **who: list[str]) -> None:
        body = {"reservationKey": self._key(key), **TEXTS, **who}
        done = self.client.post("/track-notification", json=body)
        assert done.status_code == 200, done.get_json()
        new = [(user, held.layer, held.hour) for user in sent]
        fresh = [send for send in new if held.state != "settled" or send[0] not in self.sent[key]]
        self.model.sends += fresh
        self.sent[key].update(sent)
        is_late = held.state != "reserved"
        assert done.get_json()["late"] == (len(fresh) if is_late else 0)
        held.state = "settled"

    def _ask(self, layer: int, hour: int, users: tuple[int, ...], key: int | None) -> Any:
        body = {
            "userIds": [str(self.users[user]) for user in users],
            "layerId": layer,
            "scheduledFor": _at(hour),
            "reservation": None if key is None else {"key": self._key(key), "ttlSeconds": 3_600},
        }
        return self.client.post("/filter-audience", json=body)

    def _compare(self, answer: Any, expected: Held) -> None:
        assert answer.status_code == 200, answer.get_json()
        said = answer.get_json()
        eligible = [self.users.index(UUID(text)) for text in said["eligibleUserIds"]]
        counts = said["exclusionBreakdown"]
        assert sorted(eligible) == sorted(expected.eligible)
        assert {rule: counts.get(rule, 0) for rule in expected.capped} == expected.capped
        assert said["excludedCount"] + len(eligible) == len(expected.asked)

    def _key(self, key: int) -> str:
        return f"story {self.story}/{key}"


def _shape(number: int, rule: Rule) -> dict[str, Any]:
    return {
        "name": f"r{number}",
        "appliesToLayers": sorted(rule.applies),
        "countedLayers": sorted(rule.counts),
        "windowHours": rule.hours,
        "maxCount": rule.max_count,
    }


def _at(hour: int) -> str:
    at: datetime = NOON + timedelta(hours=hour)
    return at.isoformat()
