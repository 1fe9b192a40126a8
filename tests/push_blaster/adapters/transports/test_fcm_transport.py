import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from chassis.clock import utc_now
from push_blaster.adapters.transports import multiplexer
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


@pytest.mark.slow
def test_many_messages_share_few_connections(transport: FcmTransport, fcm: FcmServer) -> None:
    sent = send(transport, *[f"ok-{n}" for n in range(1_500)])

    assert {d.outcome for d in sent.values()} == {Outcome.SENT}
    assert len({m["token"] for m in fcm.received}) == len(fcm.received) == 1_500
    assert fcm.connections <= 16


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


def test_no_answer_leaves_a_message_in_doubt(fcm: FcmServer, tokens: GoogleTokens) -> None:
    hasty = FcmTransport(options_for(fcm, answer_timeout=timedelta(seconds=1)), tokens)

    delivery = send(hasty, "hang", "ok-1")["hang"]
    hasty.close()

    assert delivery.outcome is Outcome.IN_DOUBT
    assert (delivery.reason or "").startswith("no answer")
    assert fcm.attempts["hang"] == 1


def test_a_killed_connection_leaves_what_was_on_it_in_doubt_and_loses_nobody(
    transport: FcmTransport, fcm: FcmServer
) -> None:
    outcomes = send(transport, "cut", *[f"ok-{n}" for n in range(300)])

    assert outcomes["cut"].outcome is Outcome.IN_DOUBT
    assert {d.outcome for d in outcomes.values()} <= {Outcome.SENT, Outcome.IN_DOUBT}
    received = {m["token"] for m in fcm.received}
    sent = {token for token, d in outcomes.items() if d.outcome is Outcome.SENT}
    assert sent <= received
    again = send(transport, "ok-again")
    assert again["ok-again"].outcome is Outcome.SENT


def test_a_connection_that_takes_no_more_is_replaced(
    transport: FcmTransport, fcm: FcmServer
) -> None:
    tokens = [f"goaway-1-{n}" if n % 50 == 0 else f"ok-{n}" for n in range(300)]

    outcomes = send(transport, *tokens)

    assert {d.outcome for d in outcomes.values()} <= {Outcome.SENT, Outcome.IN_DOUBT}
    assert fcm.connections > 1
    assert max(fcm.attempts.values()) <= 2


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


def test_an_fcm_that_is_not_there_is_named_and_nobody_is_in_doubt(
    fcm: FcmServer, tokens: GoogleTokens
) -> None:
    transport = FcmTransport(options_for(fcm, base_url="https://localhost:9"), tokens)

    outcomes = send(transport, "ok-1", "ok-2")
    transport.close()

    assert {d.outcome for d in outcomes.values()} == {Outcome.DEFERRED}
    assert "FCM cannot be reached" in (outcomes["ok-1"].reason or "")


def test_a_certificate_of_a_stranger_is_refused(
    fcm: FcmServer, tokens: GoogleTokens, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    with run_fcm_server(tmp_path / "other") as other:
        options = options_for(fcm, base_url=other.url)
        with pytest.raises(TransportUnavailableError, match="cannot be reached"):
            list(FcmTransport(options, tokens).send([a_message(1, "ok")], lambda: False))

    assert not other.requests


def test_a_message_that_is_too_large_never_leaves(transport: FcmTransport, fcm: FcmServer) -> None:
    large = Message(UUID(int=1), "ok-1", "T", "ä" * 2_048, "", "tag")

    (delivery,) = transport.send([large], lambda: False)

    assert delivery.outcome is Outcome.FAILED
    assert "FCM takes 4096" in (delivery.reason or "")
    assert not fcm.requests


@pytest.mark.slow
def test_a_stop_takes_effect_at_once_and_accounts_for_everybody(
    transport: FcmTransport, fcm: FcmServer
) -> None:
    begun = time.monotonic()
    messages = [a_message(n, "hang" if n % 2 else f"ok-{n}") for n in range(4_000)]

    deliveries = list(transport.send(messages, lambda: time.monotonic() - begun > 0.3))

    assert time.monotonic() - begun < 2
    assert len({d.user_id for d in deliveries}) == 4_000
    counted = {o: sum(d.outcome is o for d in deliveries) for o in Outcome}
    assert counted[Outcome.SENT] + counted[Outcome.IN_DOUBT] + counted[Outcome.NOT_SENT] == 4_000
    assert counted[Outcome.NOT_SENT] > 0
    untouched = {d.user_id for d in deliveries if d.outcome is Outcome.NOT_SENT}
    reached = {UUID(int=int(m["token"].removeprefix("ok-"))) for m in fcm.received}
    assert not untouched & reached


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


def test_a_success_that_names_no_message_is_no_proof(transport: FcmTransport) -> None:
    """A proxy that answers 200 with a page of its own has taken nothing, or everything."""
    delivery = send(transport, "nonsense")["nonsense"]

    assert delivery.outcome is Outcome.IN_DOUBT
    assert delivery.reason == "200 without the name of a message"


def test_an_answer_that_is_too_long_is_broken_off_and_judged_by_its_status(
    fcm: FcmServer, tokens: GoogleTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multiplexer, "MAX_ANSWER", 20)
    transport = FcmTransport(options_for(fcm), tokens)

    outcomes = send(transport, "ok-1", "down", "page")
    transport.close()

    assert outcomes["ok-1"].reason == "200 without the name of a message"
    assert {token: d.outcome for token, d in outcomes.items()} == {
        "ok-1": Outcome.IN_DOUBT,
        "down": Outcome.DEFERRED,
        "page": Outcome.FAILED,
    }


def test_few_streams_a_connection_are_respected(tmp_path: Path, tokens: GoogleTokens) -> None:
    (tmp_path / "narrow").mkdir()
    with run_fcm_server(tmp_path / "narrow", max_streams=3) as narrow:
        transport = FcmTransport(options_for(narrow), tokens)
        outcomes = send(transport, *[f"ok-{n}" for n in range(100)])
        transport.close()

    assert {d.outcome for d in outcomes.values()} == {Outcome.SENT}


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


def test_a_message_whose_connection_dies_is_never_sent_again_behind_our_back(
    transport: FcmTransport, fcm: FcmServer
) -> None:
    send(transport, *[f"ok-warm-{n}" for n in range(20)])

    outcomes = send(transport, "cut-1-a", *[f"ok-{n}" for n in range(50)])

    assert outcomes["cut-1-a"].outcome is Outcome.IN_DOUBT
    assert max(fcm.attempts.values()) == 1


@pytest.mark.parametrize("word", ["refused", "reset"])
def test_a_stream_that_is_closed_ends_in_one_outcome(
    transport: FcmTransport, fcm: FcmServer, word: str
) -> None:
    outcomes = send(transport, f"{word}-1-a", *[f"ok-{n}" for n in range(50)])

    assert outcomes[f"{word}-1-a"].outcome in {Outcome.IN_DOUBT, Outcome.DEFERRED}
    assert {outcomes[f"ok-{n}"].outcome for n in range(50)} == {Outcome.SENT}
    assert fcm.attempts[f"{word}-1-a"] == 1


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


@pytest.mark.slow
def test_threads_share_the_connections(transport: FcmTransport, fcm: FcmServer) -> None:
    with ThreadPoolExecutor(8) as threads:
        batches = [[f"ok-{n}-{m}" for m in range(200)] for n in range(8)]
        outcomes = list(threads.map(lambda batch: send(transport, *batch), batches))

    assert [len(found) for found in outcomes] == [200] * 8
    assert len({m["token"] for m in fcm.received}) == len(fcm.received) == 1_600
    assert fcm.connections <= 16


@pytest.mark.slow
def test_a_mix_of_answers_gives_everybody_exactly_one_outcome(
    transport: FcmTransport, fcm: FcmServer
) -> None:
    words = {0: "unregistered", 50: "busy", 75: "down", 90: "malformed"}
    tokens = [f"{words.get(n % 100, 'ok')}-x-{n}" for n in range(2_000)]

    outcomes = send(transport, *tokens)

    counted = Counter(d.outcome for d in outcomes.values())
    assert counted == {
        Outcome.SENT: 1_920,
        Outcome.TOKEN_DEAD: 40,
        Outcome.DEFERRED: 40,
    }
    assert max(fcm.attempts.values()) == 1
