"""A required test while the provider's token endpoint is away: it is waited for, within a limit."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.adapters.transports.fcm_transport import FcmOptions, FcmTransport
from push_blaster.adapters.transports.google_tokens import GoogleTokens
from push_blaster.domain.delivery.retry import RetryPolicy
from push_blaster.domain.executions.phase import Phase
from tests.fakes.fcm_server import FcmServer, run_fcm_server
from tests.fakes.token_server import TokenServer, make_key, run_token_server
from tests.push_blaster.bench import Bench

TESTED = {
    "testUserIds": [str(UUID(int=1))],
    "safeguards": {"requireTestFirst": True},
}


@pytest.fixture
def google() -> Iterator[TokenServer]:
    with run_token_server(None) as server:
        yield server


@pytest.fixture
def fcm(bench: Bench, tmp_path: Path, google: TokenServer) -> Iterator[FcmServer]:
    """The bench, sending to FCM, and patient for two seconds of its clock."""
    account = {
        "client_email": "push@garden.test",
        "private_key": make_key()[0],
        "token_uri": google.url,
    }
    patience = RetryPolicy(backoff=timedelta(seconds=0.2), budget=timedelta(seconds=2))
    with run_fcm_server(tmp_path) as server:
        options = FcmOptions(project_id="garden", base_url=server.url, ca_file=server.ca_file)
        transport = FcmTransport(options, GoogleTokens(account, None))
        limits = replace(bench.context.limits, retry=patience)
        bench.change(transport=transport, limits=limits)
        with bench.database.transaction() as connection:
            upsert_devices(connection, [Device("ok-tester", UUID(int=1))], bench.now)
        yield server
        transport.close()


def test_a_required_test_waits_for_the_token_endpoint_and_the_live_send_follows(
    bench: Bench, fcm: FcmServer, google: TokenServer
) -> None:
    google.status = 503

    def come_back() -> None:
        google.status = 200 if google.asked > 3 else 503

    google.before_answer = come_back

    execution = bench.run(bench.start(settings=TESTED))

    assert execution.phase is Phase.COMPLETED
    assert google.asked == 4, "three times in vain"
    assert "test sent to 00000000-0000-0000-0000-000000000001" in bench.log(execution.id)
    assert len(fcm.received) == 1 + 10, "the test, and the whole audience"
    assert bench.funnel(execution.id)["sent"] == 10


def test_a_live_send_waits_for_the_token_endpoint_too(
    bench: Bench, fcm: FcmServer, google: TokenServer
) -> None:
    google.status = 503
    execution_id = bench.start()

    bench.work()
    assert bench.funnel(execution_id)["deferred"] == 10
    google.status = 200

    assert bench.run(execution_id).phase is Phase.COMPLETED
    assert bench.funnel(execution_id)["sent"] == len(fcm.received) == 10


def test_a_token_endpoint_that_stays_away_fails_the_required_test_with_its_reason(
    bench: Bench, fcm: FcmServer, google: TokenServer
) -> None:
    google.status = 503

    execution = bench.run(bench.start(settings=TESTED))

    assert execution.phase is Phase.FAILED
    assert "The test of push 1 reached nobody: given up after" in (execution.reason or "")
    assert "No access token for FCM: the token server answered 503" in (execution.reason or "")
    assert not fcm.requests


def test_an_engine_says_why_nothing_can_be_sent_until_a_message_is_sent(
    bench: Bench, fcm: FcmServer, google: TokenServer
) -> None:
    google.status = 401

    failed = bench.run(bench.start(settings=TESTED))
    fault = bench.context.pacer.describe()["fault"]
    google.status = 200
    sent = bench.run(bench.start(settings=TESTED, id="again"))

    assert (failed.phase, sent.phase) == (Phase.FAILED, Phase.COMPLETED)
    assert "No access token for FCM" in fault
    assert len(fcm.received) == 11
    assert "fault" not in bench.context.pacer.describe()


def test_an_engine_says_why_the_provider_refuses_every_message(
    bench: Bench, fcm: FcmServer
) -> None:
    bench.run(bench.start(parameters={"token": "lost"}))

    assert fcm.received == []
    assert "Project 'gardem' does not exist." in bench.context.pacer.describe()["fault"]
