import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from chassis.clock import utc_now
from push_blaster.adapters.transports.fcm_transport import FcmOptions, FcmTransport
from push_blaster.adapters.transports.google_tokens import SCOPE, GoogleTokens
from push_blaster.domain.delivery.message import (
    Delivery,
    Message,
    Outcome,
    TransportUnavailableError,
)
from tests.fakes.fcm_server import FcmServer, run_fcm_server
from tests.fakes.token_server import TokenServer, make_key, run_token_server


@pytest.fixture(scope="module")
def keys() -> tuple[str, str]:
    return make_key()


@pytest.fixture
def google(keys: tuple[str, str]) -> Iterator[TokenServer]:
    with run_token_server(keys[1]) as server:
        yield server


@pytest.fixture
def fcm(tmp_path: Path) -> Iterator[FcmServer]:
    with run_fcm_server(tmp_path) as server:
        yield server


@pytest.fixture
def tokens(keys: tuple[str, str], google: TokenServer) -> GoogleTokens:
    account = {
        "type": "service_account",
        "project_id": "garden",
        "client_email": "push@garden.test",
        "private_key": keys[0],
        "token_uri": google.url,
    }
    return GoogleTokens(account, None)


@pytest.fixture
def transport(fcm: FcmServer, tokens: GoogleTokens) -> Iterator[FcmTransport]:
    transport = FcmTransport(options_for(fcm), tokens)
    yield transport
    transport.close()


def options_for(fcm: FcmServer, **changes: timedelta | str) -> FcmOptions:
    values = {
        "project_id": "garden",
        "base_url": fcm.url,
        "ca_file": fcm.ca_file,
        "answer_timeout": timedelta(seconds=20),
        **changes,
    }
    return FcmOptions(**values)  # type: ignore[arg-type]  # a table of mixed values


def a_message(number: int, token: str) -> Message:
    return Message(
        user_id=UUID(int=number),
        device_token=token,
        title="Seeds are in",
        body="Come and see",
        deep_link="https://garden.example/seeds",
        display_tag=f"tag-{number}",
    )


def send(transport: FcmTransport, *device_tokens: str) -> dict[str, Delivery]:
    messages = [a_message(n, token) for n, token in enumerate(device_tokens)]
    outcomes = list(transport.send(messages, lambda: False))
    assert len(outcomes) == len(messages), "one outcome for each message"
    return {device_tokens[d.user_id.int]: d for d in outcomes}


def test_a_message_arrives_as_fcm_v1_asks_for_it(
    transport: FcmTransport, fcm: FcmServer, google: TokenServer
) -> None:
    outcome = send(transport, "ok-1")["ok-1"]

    assert (outcome.outcome, outcome.provider_id) == (Outcome.SENT, "projects/garden/messages/1")
    (body,) = fcm.received
    expiry = int(body["apns"]["headers"].pop("apns-expiration"))
    assert abs(expiry - utc_now().timestamp() - 86_400) < 60
    assert body == (
        {
            "token": "ok-1",
            "notification": {"title": "Seeds are in", "body": "Come and see"},
            "data": {
                "click_action": "https://garden.example/seeds",
                "url": "https://garden.example/seeds",
            },
            "android": {"priority": "high", "ttl": "86400s", "notification": {"tag": "tag-0"}},
            "apns": {
                "payload": {"aps": {"mutable-content": 1}},
                "headers": {"apns-collapse-id": "tag-0", "apns-priority": "10"},
            },
            "webpush": {
                "headers": {"TTL": "86400", "Urgency": "high"},
                "notification": {"tag": "tag-0"},
            },
        }
    )
    (request,) = fcm.requests
    assert request[":method"] == "POST"
    assert request[":path"] == "/v1/projects/garden/messages:send"
    assert request["authorization"] == "Bearer token-1"
    assert google.claims[0]["scope"] == SCOPE
    assert google.claims[0]["iss"] == "push@garden.test"


@pytest.mark.parametrize(
    ("token", "outcome", "reason"),
    [
        (
            "unregistered",
            Outcome.TOKEN_DEAD,
            "404 UNREGISTERED: Requested entity was not found.",
        ),
        (
            "malformed",
            Outcome.TOKEN_DEAD,
            "400 INVALID_ARGUMENT: The registration token is not a valid FCM registration token",
        ),
        (
            "field",
            Outcome.TOKEN_DEAD,
            "400 INVALID_ARGUMENT: Request contains an invalid argument.",
        ),
        ("payload", Outcome.FAILED, "400 INVALID_ARGUMENT: INVALID_ARGUMENT"),
        ("large", Outcome.FAILED, "400 INVALID_ARGUMENT: Android message is too big"),
        (
            "lost",
            Outcome.FAILED,
            "404 NOT_FOUND: check project and address (FIREBASE_PROJECT_ID, FCM_BASE_URL): "
            "Project 'gardem' does not exist.",
        ),
        (
            "page",
            Outcome.FAILED,
            "404 no code: check project and address (FIREBASE_PROJECT_ID, FCM_BASE_URL): "
            "<html> <h1>Not Found</h1></html>",
        ),
        (
            "empty",
            Outcome.FAILED,
            "404 no code: check project and address (FIREBASE_PROJECT_ID, FCM_BASE_URL)",
        ),
        (
            "json",
            Outcome.FAILED,
            "404 no code: check project and address (FIREBASE_PROJECT_ID, FCM_BASE_URL): "
            '{"error": "no such route"}',
        ),
        (
            "stranger",
            Outcome.FAILED,
            "403 SENDER_ID_MISMATCH: the device registered with another project "
            "(FIREBASE_PROJECT_ID): SenderId mismatch",
        ),
    ],
)
def test_a_final_refusal_is_not_tried_again(
    transport: FcmTransport, fcm: FcmServer, token: str, outcome: Outcome, reason: str
) -> None:
    delivery = send(transport, token, "ok-1")[token]

    assert (delivery.outcome, delivery.reason) == (outcome, reason)
    assert fcm.attempts[token] == 1


@pytest.mark.parametrize(
    ("token", "reason", "pause_s"),
    [
        ("busy", "429 QUOTA_EXCEEDED: RESOURCE_EXHAUSTED", 60),
        ("patient", "429 QUOTA_EXCEEDED: RESOURCE_EXHAUSTED", 1),
        ("down", "503 UNAVAILABLE: UNAVAILABLE", None),
        ("broken", "500 INTERNAL: INTERNAL", None),
    ],
)
def test_what_passes_is_left_for_later_with_what_the_provider_advises(
    transport: FcmTransport, fcm: FcmServer, token: str, reason: str, pause_s: float | None
) -> None:
    begun = time.monotonic()
    delivery = send(transport, token, "ok-1")[token]

    assert (delivery.outcome, delivery.reason) == (Outcome.DEFERRED, reason)
    assert delivery.retry_after_s == pause_s
    assert fcm.attempts[token] == 1
    assert time.monotonic() - begun < 1, "nobody waits for it here"


def test_a_refused_token_is_renewed_once(
    transport: FcmTransport, fcm: FcmServer, google: TokenServer
) -> None:
    fcm.accepted_token = "token-2"

    outcomes = send(transport, *[f"ok-{n}" for n in range(20)])

    assert {d.outcome for d in outcomes.values()} == {Outcome.SENT}
    assert len(google.claims) == 2


def test_an_account_that_stays_refused_blames_no_device(
    transport: FcmTransport, fcm: FcmServer
) -> None:
    fcm.accepted_token = "somebody-else's"
    known: list[Delivery] = []

    with pytest.raises(TransportUnavailableError, match="FCM refuses our credentials"):
        known.extend(transport.send([a_message(1, "ok-1")], lambda: False))

    assert not [d for d in known if d.outcome is Outcome.TOKEN_DEAD]


def test_a_token_server_that_refuses_stops_the_send_before_it_begins(
    transport: FcmTransport, fcm: FcmServer, google: TokenServer
) -> None:
    google.status = 400

    with pytest.raises(TransportUnavailableError, match="No access token for FCM"):
        list(transport.send([a_message(1, "ok-1")], lambda: False))

    assert not fcm.requests


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_token_server_that_is_away_defers_every_message(
    transport: FcmTransport, fcm: FcmServer, google: TokenServer, status: int
) -> None:
    google.status = status

    deferred = send(transport, "ok-1", "ok-2")

    assert {d.outcome for d in deferred.values()} == {Outcome.DEFERRED}
    assert (deferred["ok-1"].reason or "").startswith("No access token for FCM")
    assert not fcm.requests
    google.status = 200
    assert send(transport, "ok-1")["ok-1"].outcome is Outcome.SENT


def test_a_token_server_that_goes_away_in_mid_send_fails_nobody(
    transport: FcmTransport, fcm: FcmServer, google: TokenServer
) -> None:
    send(transport, "ok-0")
    fcm.accepted_token = "token-2"
    google.status = 503

    outcomes = send(transport, *[f"ok-{n}" for n in range(1, 20)])

    assert {d.outcome for d in outcomes.values()} == {Outcome.DEFERRED}


def test_a_token_server_that_is_not_there_is_away(keys: tuple[str, str], fcm: FcmServer) -> None:
    account = {
        "client_email": "push@garden.test",
        "private_key": keys[0],
        "token_uri": "http://localhost:9/token",
    }
    transport = FcmTransport(options_for(fcm), GoogleTokens(account, None))

    delivery = send(transport, "ok-1")["ok-1"]
    transport.close()

    assert delivery.outcome is Outcome.DEFERRED


def test_threads_ask_for_one_token_between_them(tokens: GoogleTokens, google: TokenServer) -> None:
    assert {tokens.get() for _ in range(5)} == {"token-1"}
    tokens.renew("token-1")
    tokens.renew("token-1")

    assert tokens.get() == "token-2"
    assert len(google.claims) == 2


def test_a_token_near_its_end_is_renewed_first(tokens: GoogleTokens, google: TokenServer) -> None:
    google.lifetime_s = 60

    assert (tokens.get(), tokens.get()) == ("token-1", "token-2")


def test_a_key_that_is_none_is_named() -> None:
    account = {"client_email": "a", "token_uri": "http://localhost", "private_key": "none"}

    with pytest.raises(TransportUnavailableError, match="Our key for FCM"):
        GoogleTokens(account, None)


def test_a_stop_that_comes_while_the_token_is_awaited_leaves_every_message_unsent(
    transport: FcmTransport, fcm: FcmServer, google: TokenServer
) -> None:
    stopped = threading.Event()
    google.before_answer = stopped.set

    deliveries = list(transport.send([a_message(n, f"ok-{n}") for n in range(50)], stopped.is_set))

    assert [d.outcome for d in deliveries] == [Outcome.NOT_SENT] * 50
    assert not fcm.requests


def test_a_stop_that_comes_while_the_token_is_renewed_sends_nothing_again(
    transport: FcmTransport, fcm: FcmServer, google: TokenServer
) -> None:
    send(transport, "ok-0")
    stopped = threading.Event()
    fcm.accepted_token, google.before_answer = "token-2", stopped.set

    deliveries = list(
        transport.send([a_message(n, f"ok-{n}") for n in range(1, 9)], stopped.is_set)
    )

    assert [d.outcome for d in deliveries] == [Outcome.NOT_SENT] * 8
    assert [m["token"] for m in fcm.received] == ["ok-0"]


def test_a_dry_run_is_checked_by_the_provider_and_delivers_nothing(
    fcm: FcmServer, tokens: GoogleTokens
) -> None:
    rehearsal = FcmTransport(replace(options_for(fcm), validate_only=True), tokens)

    outcomes = send(rehearsal, "ok-1", "unregistered")
    rehearsal.close()

    assert {token: d.outcome for token, d in outcomes.items()} == {
        "ok-1": Outcome.DRY_RUN,
        "unregistered": Outcome.TOKEN_DEAD,
    }
    assert fcm.validated == 2


def test_a_token_that_expires_in_mid_send_is_renewed_and_nobody_is_lost(
    transport: FcmTransport, fcm: FcmServer, google: TokenServer
) -> None:
    fcm.accepted_token = "token-1"
    send(transport, "ok-0")
    fcm.accepted_token = "token-2"

    with ThreadPoolExecutor(4) as threads:
        batches = [[f"ok-{n}-{m}" for m in range(100)] for n in range(1, 5)]
        outcomes = list(threads.map(lambda batch: send(transport, *batch), batches))

    assert {d.outcome for found in outcomes for d in found.values()} == {Outcome.SENT}
    assert len(google.claims) == 2, "asked once, whoever notices"
