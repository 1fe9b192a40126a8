"""Two engines share a send over FCM, and one of them is killed in the middle of it."""

import os
import signal
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from local_stack.embedded_postgres import EmbeddedPostgres
from tests.fakes.fcm_server import run_fcm_server
from tests.fakes.fcm_settings import fcm_settings
from tests.fakes.token_server import make_key, run_token_server
from tests.journeys.stack import Stack, a_journey_automation, running_stack, wait_until

USERS = 3_000
#: Messages a second, of both engines together.
RATE = 400
DEAD_AFTER_S = 3


@dataclass
class Seen:
    """What FCM accepted: each message's device token and display tag, and when."""

    tags: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    instants: list[float] = field(default_factory=list)

    def accept(self, message: dict[str, Any]) -> None:
        self.tags[message["token"]].append(message["android"]["notification"]["tag"])
        self.instants.append(time.monotonic())

    def best_rate(self, since: float, for_s: float) -> float:
        """Return how many messages a second came in the best `for_s` seconds after `since`."""
        begins = [instant for instant in self.instants if instant >= since]
        counts = [bisect_left(begins, begin + for_s) - n for n, begin in enumerate(begins)]
        return max(counts, default=0) / for_s


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def stack(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory, seen: Seen
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("takeover")
    private, public = make_key()
    with run_fcm_server(folder) as fcm, run_token_server(public) as google:
        fcm.on_accept = seen.accept
        settings = {
            **fcm_settings(fcm, google.url, private),
            "PUSH_RATE_PER_MINUTE": str(RATE * 60),
            "PUSH_RAMP_SECONDS": "0",
            "PUSH_BATCH_SIZE": "50",
            "PUSH_WEB_WORKERS": "1",
            "PUSH_ENGINE_DEAD_AFTER_SECONDS": str(DEAD_AFTER_S),
        }
        with running_stack(postgres, folder / "data", settings, engines=2) as running:
            yield running


def test_a_killed_engine_costs_seconds_and_no_message(stack: Stack, seen: Seen) -> None:
    automation = a_journey_automation("news", parameters={"users": USERS, "token": "ok"})
    stack.ask("POST", "/api/automation/recipes", automation)
    started = stack.ask("POST", "/api/executions", {"automationId": "news"})
    wait_until(lambda: len(seen.instants), lambda sent: sent >= USERS / 4, 30)

    os.killpg(stack.engines[0].pid, signal.SIGKILL)
    killed_at = time.monotonic()
    execution = stack.wait_for(started["id"], ["completed"], limit_s=30)

    alone = seen.best_rate(killed_at + DEAD_AFTER_S, for_s=2)
    assert alone > RATE * 0.75, "one sends at the rate of two"
    assert max(seen.instants) < killed_at + USERS * 0.75 / RATE + DEAD_AFTER_S + 5
    assert set(seen.tags) == {f"ok-{n}" for n in range(1, USERS + 1)}, "nothing is lost"
    assert all(len(set(tags)) == 1 for tags in seen.tags.values()), "one tag for each"
    funnel = execution["pushes"][0]["funnel"]
    twice = len(seen.instants) - USERS
    assert funnel["sent"] == USERS
    assert twice <= funnel["resentInDoubt"], "whoever got it twice was in doubt"
