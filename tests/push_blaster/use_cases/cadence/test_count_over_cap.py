"""A send that nobody checked is accounted for: who got more than the rules allow, exactly."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from chassis.postgres import BulkDatabase
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.adapters.delivery.pacing import TokenBucket
from push_blaster.app import create_app
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.cadence import count_over_cap as counting
from push_blaster.use_cases.cadence.count_over_cap import count_over_cap
from push_blaster.use_cases.cadence.track_sends import track_sends
from tests.cadence_service.settings import CADENCE_TOKEN
from tests.fakes.fickle_proxy import FickleProxy, Mood, run_proxy
from tests.push_blaster.bench import Bench
from tests.push_blaster.cadence_support import sent_before
from tests.push_blaster.settings import settings_for

MINUTE = timedelta(minutes=1)


@pytest.fixture
def proxy(bench: Bench, cadence_service: str) -> Iterator[FickleProxy]:
    with run_proxy() as proxy:
        proxy.target = cadence_service
        bench.change(cadence=CadenceClient(proxy.url, CADENCE_TOKEN, timeout=timedelta(seconds=5)))
        yield proxy


@pytest.fixture
def client(bench: Bench, push_url: str, tmp_path: Path) -> FlaskClient:
    client = create_app(settings_for(push_url, tmp_path)).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = "Bearer viewer"
    return client


class Outage(TokenBucket):
    """A pacer before whose first messages the first batch has been checked; then cadence goes."""

    def __init__(self, proxy: FickleProxy) -> None:
        super().__init__(60_000_000)
        self.proxy = proxy

    def take(self, messages: int, should_stop: Callable[[], bool]) -> int:
        self.proxy.mood = Mood.AWAY
        return messages


def an_unchecked_send(bench: Bench, proxy: FickleProxy, database: BulkDatabase) -> str:
    """Send to 50 users of whom the cap of some was used up, the last 30 of them unchecked.

    Users 11 to 30 had a push on layer 3; users 26 to 35 three on layer 2.
    """
    sent_before(database, range(11, 31), 3, hours=10)
    for hours in (20, 40, 60):
        sent_before(database, range(26, 36), 2, hours=hours)
    bench.change(pacer=Outage(proxy))
    execution_id = bench.start(parameters={"users": 50})
    assert bench.run(execution_id).phase is Phase.COMPLETED
    return execution_id


def over_cap(client: FlaskClient, execution_id: str, query: str = "") -> dict[str, Any]:
    response = client.get(f"/api/executions/{execution_id}/over-cap{query}")
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.get_json()
    return answer


def test_who_got_too_many_is_known_exactly_once_cadence_is_back(
    bench: Bench, proxy: FickleProxy, client: FlaskClient, cadence_database: BulkDatabase
) -> None:
    execution_id = an_unchecked_send(bench, proxy, cadence_database)
    assert bench.funnel(execution_id)["sent"] == 40
    bench.now += MINUTE

    assert (track_sends(bench.context), count_over_cap(bench.context)) == (0, 0)
    pending = over_cap(client, execution_id)
    assert (
        "are counted once this execution has ended"
        in client.get(f"/executions/{execution_id}").text
    )
    assert (pending["state"], pending["count"], pending["users"]) == ("pending", None, [])

    proxy.mood = Mood.WELL
    assert track_sends(bench.context) == 3, "three batches"
    assert count_over_cap(bench.context) == 1
    assert count_over_cap(bench.context) == 0

    known = over_cap(client, execution_id)
    by_rule = {"layer_3_cooldown_hours": 10, "combined_l2_l3_limit_hours": 10}
    assert (known["state"], known["count"]["users"], known["count"]["byRule"]) == (
        "known",
        15,
        by_rule,
    )
    assert {UUID(user["userId"]).int: tuple(user["rules"]) for user in known["users"]} == {
        n: tuple(
            rule
            for rule, users in (
                ("layer_3_cooldown_hours", range(21, 31)),
                ("combined_l2_l3_limit_hours", range(26, 36)),
            )
            if n in users
        )
        for n in range(21, 36)
    }
    page = client.get(f"/executions/{execution_id}").text
    assert "<b>15</b> users got more pushes than the cadence" in page
    assert "/over-cap.csv" in page
    assert ">uncapped</span>" in client.get("/executions").text
    assert ">uncapped</span>" in client.get("/live/dashboard").text
    shown = client.get(f"/api/executions/{execution_id}").get_json()
    assert shown["overCap"] == known["count"]
    assert "15 users got more than the rules allow" in bench.log(execution_id)


def test_the_list_comes_in_pages_and_as_csv(
    bench: Bench,
    proxy: FickleProxy,
    client: FlaskClient,
    cadence_database: BulkDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(counting, "SLICE", 7)
    execution_id = an_unchecked_send(bench, proxy, cadence_database)
    proxy.mood = Mood.WELL
    bench.now += MINUTE
    track_sends(bench.context)
    count_over_cap(bench.context)

    first = over_cap(client, execution_id, "?limit=10")
    rest = over_cap(client, execution_id, f"?limit=10&cursor={first['nextCursor']}")
    table = client.get(f"/api/executions/{execution_id}/over-cap.csv")

    users = [user["userId"] for user in first["users"] + rest["users"]]
    assert users == [str(UUID(int=n)) for n in range(21, 36)]
    assert rest["nextCursor"] is None
    lines = table.text.splitlines()
    assert lines[:2] == ["position,userId,rules", f"1,{users[0]},layer_3_cooldown_hours"]
    assert len(lines) == 16


def test_an_unchecked_send_that_broke_nothing_says_so(
    bench: Bench, proxy: FickleProxy, client: FlaskClient
) -> None:
    proxy.mood = Mood.AWAY
    execution_id = bench.start()
    bench.run(execution_id)
    proxy.mood = Mood.WELL
    bench.now += MINUTE
    track_sends(bench.context)

    count_over_cap(bench.context)

    assert over_cap(client, execution_id)["count"]["users"] == 0
    assert "nobody got more than the rules allow" in bench.log(execution_id)


def test_a_send_that_was_checked_needs_no_account(
    bench: Bench, proxy: FickleProxy, client: FlaskClient
) -> None:
    execution_id = bench.start()
    bench.run(execution_id)

    assert count_over_cap(bench.context) == 0
    assert over_cap(client, execution_id)["state"] == "checked"


def test_what_cadence_cannot_count_now_is_counted_another_time(
    bench: Bench, proxy: FickleProxy, cadence_database: BulkDatabase
) -> None:
    an_unchecked_send(bench, proxy, cadence_database)
    bench.now += MINUTE
    proxy.mood = Mood.WELL
    track_sends(bench.context)

    for mood, counted in ((Mood.AWAY, 0), (Mood.NONSENSE, 0), (Mood.WELL, 1)):
        proxy.mood = mood
        assert count_over_cap(bench.context) == counted


def test_a_send_does_not_wait_for_a_silent_cadence_batch_by_batch(
    bench: Bench, proxy: FickleProxy
) -> None:
    second = timedelta(seconds=1)
    bench.change(cadence=CadenceClient(proxy.url, CADENCE_TOKEN, timeout=second / 4, rest=second))
    proxy.mood, proxy.slowness_s = Mood.SLOW, 1.0
    begun = time.monotonic()

    execution = bench.run(bench.start(parameters={"users": 400}))

    assert time.monotonic() - begun < 10, "20 batches that wait for half a second, twice each"
    assert execution.phase is Phase.COMPLETED
    assert "did not answer" in (execution.uncapped_reason or "")
    assert bench.funnel(execution.id)["sent"] == 400
    proxy.mood = Mood.WELL
    time.sleep(1.1)
    bench.now += MINUTE
    assert track_sends(bench.context) == 20, "all of it is told, late"
