"""What the provider does not take now is tried again later, and holds up nobody else."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from push_blaster.adapters.delivery.delivery_ledger import claim_users
from push_blaster.adapters.transports.fcm_transport import FcmOptions, FcmTransport
from push_blaster.adapters.transports.google_tokens import GoogleTokens
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.delivery.retry import RetryPolicy
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.delivery.close_batches import close_batches
from push_blaster.use_cases.executions.stop_execution import stop_execution
from tests.fakes.fcm_server import FcmServer, run_fcm_server
from tests.fakes.token_server import make_key, run_token_server
from tests.push_blaster.bench import Bench

#: Writes one user for each of PARAM_WORDS; its device token is the word.
WORDS = """
import csv, os, uuid
with open(os.path.join(os.environ["OUTPUT_PATH"], "everybody.csv"), "w", newline="") as f:
    table = csv.writer(f)
    table.writerow(["user_id", "first_name", "device_token"])
    for n, word in enumerate(os.environ["PARAM_WORDS"].split(), start=1):
        table.writerow([uuid.UUID(int=n), word, word])
"""


@pytest.fixture(scope="module")
def private_key() -> str:
    return make_key()[0]


@pytest.fixture
def fcm(bench: Bench, tmp_path: Path, private_key: str) -> Iterator[FcmServer]:
    """The bench, sending to a provider whose answers the device tokens name."""
    bench.write_script(WORDS)
    with run_fcm_server(tmp_path) as server, run_token_server(None) as google:
        account = {
            "client_email": "push@garden.test",
            "private_key": private_key,
            "token_uri": google.url,
        }
        options = FcmOptions(project_id="garden", base_url=server.url, ca_file=server.ca_file)
        transport = FcmTransport(options, GoogleTokens(account, None))
        bench.change(transport=transport)
        yield server
        transport.close()


def start(bench: Bench, *words: str) -> str:
    return bench.start(parameters={"words": " ".join(words)})


def test_an_outage_of_minutes_loses_nobody(
    bench: Bench, fcm: FcmServer, cadence_database: BulkDatabase
) -> None:
    bench.change(limits=replace(bench.context.limits, batch_size=5))
    words = [f"down-2-{n}" for n in range(16)]  # too few for the circuit breaker

    execution = bench.run(start(bench, *words))

    assert execution.phase is Phase.COMPLETED
    assert bench.funnel(execution.id)["sent"] == 16
    assert set(fcm.attempts.values()) == {3}
    assert len({m["token"] for m in fcm.received}) == len(fcm.received) == 16
    with cadence_database.transaction() as connection:
        told = connection.execute("SELECT count(*) FROM user_notifications").fetchone()
        held = connection.execute("SELECT count(*) FROM held_slots").fetchone()
    assert (told, held) == ((16,), (0,)), "each counts once, and no slot stays taken"


def test_one_who_waits_does_not_hold_up_the_others(bench: Bench, fcm: FcmServer) -> None:
    execution_id = start(bench, "busy-1-a", *[f"ok-{n}" for n in range(30)])

    bench.work()

    funnel = bench.funnel(execution_id)
    assert (funnel["sent"], funnel["deferred"], funnel["notSent"]) == (30, 1, 0)
    assert bench.execution(execution_id).phase is Phase.LIVE_EXECUTION
    bench.now += timedelta(seconds=59)
    bench.work()
    assert bench.funnel(execution_id)["deferred"] == 1, "a 429 without advice waits a minute"
    bench.now += timedelta(seconds=8)
    bench.work()
    assert bench.funnel(execution_id)["sent"] == 31


def test_whoever_is_never_taken_is_given_up_within_the_budget(bench: Bench, fcm: FcmServer) -> None:
    patience = RetryPolicy(backoff=timedelta(seconds=2), budget=timedelta(seconds=20))
    bench.change(limits=replace(bench.context.limits, retry=patience))

    execution = bench.run(start(bench, "down", "ok-1"))

    state = {d["user_id"].int: (d["state"], d["reason"]) for d in bench.deliveries(execution.id)}
    tries = fcm.attempts["down"]
    assert state == {
        1: ("failed", f"given up after {tries} tries: 503 UNAVAILABLE: UNAVAILABLE"),
        2: ("sent", None),
    }
    assert tries > 2


def test_a_pause_longer_than_the_budget_is_the_reason_of_a_failure(
    bench: Bench, fcm: FcmServer
) -> None:
    execution = bench.run(start(bench, "hour", "ok-1"))

    (delivery,) = [d for d in bench.deliveries(execution.id) if d["state"] == "failed"]
    assert delivery["reason"] == (
        "given up after 1 tries: the provider asks for a pause of 3600 s, and the retry budget "
        "(PUSH_RETRY_BUDGET_SECONDS) is 600 s: 503 UNAVAILABLE: UNAVAILABLE"
    )


def test_a_pause_within_the_budget_is_waited_for(bench: Bench, fcm: FcmServer) -> None:
    patience = RetryPolicy(budget=timedelta(hours=2))
    bench.change(limits=replace(bench.context.limits, retry=patience))
    execution_id = start(bench, "hour-1-a", "ok-1")

    bench.work()
    bench.now += timedelta(minutes=59)
    bench.work()
    assert bench.funnel(execution_id)["deferred"] == 1
    bench.now += timedelta(minutes=8)
    bench.work()

    assert bench.funnel(execution_id)["sent"] == 2


def test_a_stop_leaves_who_waits_in_doubt_if_an_earlier_attempt_may_have_arrived(
    bench: Bench, fcm: FcmServer
) -> None:
    execution_id = start(bench, "down", "ok-1")
    bench.work()
    with bench.database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE deliveries SET was_in_doubt = true WHERE state = 'deferred'")

    stop_execution(bench.database, execution_id, "Wrong text", utc_now())
    bench.now = utc_now() + timedelta(minutes=1)
    close_batches(bench.context)

    funnel = bench.funnel(execution_id)
    assert (funnel["sent"], funnel["inDoubt"], funnel["notSent"]) == (1, 1, 0)


def test_a_device_that_is_gone_when_sent_to_again_leaves_its_user_in_doubt(
    bench: Bench, fcm: FcmServer
) -> None:
    execution_id = start(bench, "unregistered", "ok-1")
    with bench.database.transaction() as connection:
        page = LedgerPage(execution_id, 1, is_test=False)
        claim_users(connection, page, {UUID(int=1): None}, utc_now())

    bench.run(execution_id)

    assert {d["user_id"].int: d["state"] for d in bench.deliveries(execution_id)} == {
        1: "in_doubt",
        2: "sent",
    }


def test_whoever_was_claimed_in_a_crash_and_has_no_device_any_more_stays_in_doubt(
    bench: Bench, fcm: FcmServer
) -> None:
    bench.run(start(bench, "unregistered"))
    execution_id = start(bench, "unregistered")
    with bench.database.transaction() as connection:
        page = LedgerPage(execution_id, 1, is_test=False)
        claim_users(connection, page, {UUID(int=1): None}, utc_now())

    assert bench.run(execution_id).phase is Phase.COMPLETED

    (delivery,) = bench.deliveries(execution_id)
    assert delivery["state"] == "in_doubt"
    assert "cannot begin again" in delivery["reason"]
    assert fcm.attempts["unregistered"] == 1


def test_a_stop_leaves_who_waits_unsent(bench: Bench, fcm: FcmServer) -> None:
    execution_id = start(bench, "down", "ok-1")
    bench.work()
    assert bench.funnel(execution_id)["deferred"] == 1

    stop_execution(bench.database, execution_id, "Wrong text", utc_now())
    bench.now = utc_now() + timedelta(minutes=1)
    close_batches(bench.context)

    funnel = bench.funnel(execution_id)
    assert (funnel["sent"], funnel["deferred"], funnel["notSent"]) == (1, 0, 1)
