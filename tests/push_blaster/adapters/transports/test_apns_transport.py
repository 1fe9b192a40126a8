"""Sends to a local APNs, which checks every request and every provider token as Apple does."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import jwt
import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from chassis.clock import utc_now
from push_blaster.adapters.devices.subscription_keys import BadKeyError
from push_blaster.adapters.transports.apns_transport import (
    ApnsKey,
    ApnsOptions,
    ApnsTransport,
    ProviderTokens,
    read_p8,
)
from push_blaster.domain.delivery.message import (
    Delivery,
    Message,
    Outcome,
    ProviderAwayError,
    TransportUnavailableError,
)
from tests.fakes.apns_server import KEY_ID, TEAM, TOPIC, ApnsServer, hexed, make_p8
from tests.fakes.fcm_server import run_provider
from tests.fakes.token_server import make_key

NOON = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
KEYS = make_p8()


def a_key(**changes: str) -> ApnsKey:
    names = {"key_id": KEY_ID, "team_id": TEAM, **changes}
    return ApnsKey(private_key=read_p8(KEYS[0]), **names)


@pytest.fixture
def apns(tmp_path: Path) -> Iterator[ApnsServer]:
    with run_provider(ApnsServer, tmp_path) as server:
        server.public_key = KEYS[1]
        yield server


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[ApnsServer]:
    (tmp_path / "sandbox").mkdir()
    with run_provider(ApnsServer, tmp_path / "sandbox") as server:
        server.public_key = KEYS[1]
        yield server


@pytest.fixture
def tokens() -> ProviderTokens:
    return ProviderTokens(a_key())


@pytest.fixture
def transport(apns: ApnsServer, tokens: ProviderTokens) -> Iterator[ApnsTransport]:
    transport = ApnsTransport(options_for(apns), tokens)
    yield transport
    transport.close()


def options_for(apns: ApnsServer, topic: str = TOPIC, sandbox_url: str = "") -> ApnsOptions:
    return ApnsOptions(
        topic=topic,
        base_url=apns.url,
        sandbox_url=sandbox_url or apns.url,
        ca_file=apns.ca_file,
    )


def a_message(number: int, word: str, kind: str = "apns") -> Message:
    return Message(
        user_id=UUID(int=number),
        device_token=hexed(word),
        title="Seeds are in",
        body="Come and see",
        deep_link="https://garden.example/seeds",
        display_tag=f"tag-{number}",
        device_kind=kind,
        receipt="r-1",
    )


def send(transport: ApnsTransport, *words: str) -> dict[str, Delivery]:
    messages = [a_message(n, word) for n, word in enumerate(words)]
    outcomes = list(transport.send(messages, lambda: False))
    assert len(outcomes) == len(messages), "one outcome for each message"
    return {words[d.user_id.int]: d for d in outcomes}


def test_a_message_arrives_as_apple_asks_for_it(transport: ApnsTransport, apns: ApnsServer) -> None:
    outcome = send(transport, "ok-1")["ok-1"]

    (one,) = apns.received
    headers = one["headers"]
    assert (outcome.outcome, outcome.provider_id) == (Outcome.SENT, headers["apns-id"])
    assert headers[":path"] == f"/3/device/{hexed('ok-1')}"
    assert headers["apns-topic"] == TOPIC
    assert abs(int(headers["apns-expiration"]) - utc_now().timestamp() - 86_400) < 60
    assert one["payload"] == {
        "aps": {
            "alert": {"title": "Seeds are in", "body": "Come and see"},
            "mutable-content": 1,
        },
        "click_action": "https://garden.example/seeds",
        "url": "https://garden.example/seeds",
        "receipt": "r-1",
    }


@pytest.mark.parametrize(
    ("word", "outcome", "reason"),
    [
        ("unregistered", Outcome.TOKEN_DEAD, "410 Unregistered"),
        ("expired", Outcome.TOKEN_DEAD, "410 ExpiredToken"),
        ("bad", Outcome.TOKEN_DEAD, "400 BadDeviceToken"),
        (
            "stranger",
            Outcome.FAILED,
            "400 DeviceTokenNotForTopic: the device belongs to another app (APNS_TOPIC)",
        ),
        ("collapse", Outcome.FAILED, "400 BadCollapseId"),
        ("large", Outcome.FAILED, "413 PayloadTooLarge: the message is too large"),
        ("path", Outcome.FAILED, "404 BadPath"),
        (
            "page",
            Outcome.FAILED,
            "404 no reason: check the address (APNS_BASE_URL): <html> <h1>Not Found</h1></html>",
        ),
        ("busy", Outcome.DEFERRED, "429 TooManyRequests"),
        ("idle", Outcome.DEFERRED, "400 IdleTimeout"),
        ("broken", Outcome.DEFERRED, "500 InternalServerError"),
        ("down", Outcome.DEFERRED, "503 ServiceUnavailable"),
        ("shutdown", Outcome.DEFERRED, "503 Shutdown"),
    ],
)
def test_a_refusal_concerns_its_own_message_and_is_not_tried_again_here(
    transport: ApnsTransport, apns: ApnsServer, word: str, outcome: Outcome, reason: str
) -> None:
    found = send(transport, word, "ok-1")

    assert (found[word].outcome, found[word].reason) == (outcome, reason)
    assert found["ok-1"].outcome is Outcome.SENT
    assert apns.attempts[word] == 1
    assert found[word].is_over_quota is False


def test_a_dead_device_is_dead_since_apple_says_it(transport: ApnsTransport) -> None:
    found = send(transport, "unregistered", "expired")

    assert found["unregistered"].dead_since == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert found["expired"].dead_since is None


@pytest.mark.parametrize(
    ("words", "dead"),
    [
        (["bad"], 0),
        (["bad-x-1", "bad-x-2", "ok-1"], 0),
        (["bad-x-1", "ok-1"], 1),
        (["bad-x-1", "bad-x-2", "ok-1", "ok-2"], 2),
        (["bad-x-1", "down", "unregistered"], 0),
    ],
)
def test_a_bad_token_is_dead_only_if_most_others_are_taken(
    transport: ApnsTransport, words: list[str], dead: int
) -> None:
    found = send(transport, *words)

    bad = [found[word] for word in words if word.startswith("bad")]
    assert [d.outcome for d in bad].count(Outcome.TOKEN_DEAD) == dead
    for kept in bad:
        if kept.outcome is not Outcome.TOKEN_DEAD:
            assert kept.outcome is Outcome.FAILED
            assert (kept.reason or "").startswith("400 BadDeviceToken of most devices")
            assert "APNS_ENVIRONMENT" in (kept.reason or "")


def test_each_environment_speaks_for_itself(
    apns: ApnsServer, sandbox: ApnsServer, tokens: ProviderTokens, tmp_path: Path
) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(apns.ca_file.read_bytes() + sandbox.ca_file.read_bytes())
    options = ApnsOptions(topic=TOPIC, base_url=apns.url, sandbox_url=sandbox.url, ca_file=both)
    transport = ApnsTransport(options, tokens)
    messages = [
        a_message(1, "ok-1"),
        a_message(2, "ok-2", "apns_sandbox"),
        a_message(3, "bad-x-3", "apns_sandbox"),
        a_message(4, "ok-4"),
        a_message(5, "bad-x-5", "apns_sandbox"),
    ]

    found = {d.user_id.int: d.outcome for d in transport.send(messages, lambda: False)}
    transport.close()

    assert [len(apns.received), len(sandbox.received)] == [2, 1]
    assert found == {
        1: Outcome.SENT,
        2: Outcome.SENT,
        3: Outcome.FAILED,
        4: Outcome.SENT,
        5: Outcome.FAILED,
    }


def test_a_token_that_is_no_path_stays_in_its_place(
    transport: ApnsTransport, apns: ApnsServer
) -> None:
    odd = a_message(1, "ok-1")._replace(device_token="../../etc?x=1#y")

    (delivery,) = transport.send([odd], lambda: False)

    assert delivery.outcome is Outcome.FAILED
    assert not apns.received
    assert apns.requests[0][":path"] == "/3/device/..%2F..%2Fetc%3Fx%3D1%23y"


@pytest.mark.parametrize("word", ["invalid", "forbidden"])
def test_an_account_that_apple_refuses_pauses_everything_and_blames_no_device(
    transport: ApnsTransport, word: str
) -> None:
    known: list[Delivery] = []
    messages = [a_message(1, word), a_message(2, "bad")]

    with pytest.raises(TransportUnavailableError, match="APNs refuses our credentials: 403"):
        known.extend(transport.send(messages, lambda: False))

    assert not [d for d in known if d.outcome is Outcome.TOKEN_DEAD]


@pytest.mark.parametrize(
    "key",
    [
        a_key(team_id="OTHER67890"),
        a_key(key_id="OTHER67890"),
        replace(a_key(), private_key=read_p8(make_p8()[0])),
    ],
    ids=["another team", "another id of the key", "another key"],
)
def test_a_key_that_apple_does_not_know_is_refused(apns: ApnsServer, key: ApnsKey) -> None:
    transport = ApnsTransport(options_for(apns), ProviderTokens(key))

    with pytest.raises(TransportUnavailableError, match="InvalidProviderToken"):
        list(transport.send([a_message(1, "ok-1")], lambda: False))
    transport.close()

    assert not apns.received


def test_a_topic_that_is_not_the_apps_fails_each_message_and_kills_no_device(
    apns: ApnsServer, tokens: ProviderTokens
) -> None:
    transport = ApnsTransport(options_for(apns, topic="com.example.other"), tokens)

    found = send(transport, "ok-1", "ok-2")
    transport.close()

    assert {d.outcome for d in found.values()} == {Outcome.FAILED}
    assert "APNS_TOPIC" in (found["ok-1"].reason or "")


def test_too_many_tokens_slow_the_transport(transport: ApnsTransport) -> None:
    found = send(transport, "updates", "ok-1")

    assert found["updates"].outcome is Outcome.DEFERRED
    assert found["updates"].is_over_quota
    assert "APNS_KEY_ID" in (found["updates"].reason or "")


def test_a_token_is_a_json_web_token_of_es256(tokens: ProviderTokens) -> None:
    token = tokens.get()

    claims = jwt.decode(token, KEYS[1], algorithms=["ES256"], options={"verify_iat": False})
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": KEY_ID}
    assert claims["iss"] == TEAM
    assert 0 <= utc_now().timestamp() - claims["iat"] <= 3_000


def test_engines_make_one_token_each_50_minutes_without_asking_each_other() -> None:
    engines = [ProviderTokens(a_key()) for _ in range(3)]
    found: dict[int, set[str]] = {}

    for minute in range(0, 24 * 60, 7):
        with time_machine.travel(NOON + timedelta(minutes=minute), tick=False):
            at = jwt.decode(engines[0].get(), options={"verify_signature": False})["iat"]
            found.setdefault(at, set()).update(engine.get() for engine in engines)
            assert utc_now().timestamp() - at < 3_000

    begun = sorted(found)
    assert {len(made) for made in found.values()} == {1}
    assert {later - earlier for earlier, later in pairwise(begun)} == {3_000}


def test_an_expired_token_is_renewed_once_for_all_engines(apns: ApnsServer) -> None:
    with time_machine.travel(NOON, tick=True) as clock:
        at = jwt.decode(ProviderTokens(a_key()).get(), options={"verify_signature": False})["iat"]
        clock.move_to(datetime.fromtimestamp(at + 2_700, UTC))
        apns.ahead_s = 1_000  # Apple's clock: what is 45 minutes old is more than 60 minutes old
        engines = [ApnsTransport(options_for(apns), ProviderTokens(a_key())) for _ in range(2)]

        with ThreadPoolExecutor(2) as threads:
            words = [[f"ok-{n}-{m}" for m in range(30)] for n in range(2)]
            found = list(threads.map(lambda e, w: send(e, *w), engines, words))
        for engine in engines:
            engine.close()

    assert {d.outcome for one in found for d in one.values()} == {Outcome.SENT}
    assert apns.issued == [at + 1_500], "one new token, and no sooner than Apple allows"
    assert len(apns.tokens) == 2


def test_a_new_token_that_apple_calls_expired_is_a_fault_of_a_clock(
    transport: ApnsTransport, apns: ApnsServer
) -> None:
    apns.ahead_s = 7_200

    with pytest.raises(TransportUnavailableError, match=r"expired|ExpiredProviderToken"):
        list(transport.send([a_message(1, "ok-1")], lambda: False))

    assert not apns.received
    assert not apns.issued


def test_a_check_asks_apple_once_for_a_while(transport: ApnsTransport, apns: ApnsServer) -> None:
    transport.check()
    transport.check()

    (asked,) = apns.requests
    assert asked[":path"] == f"/3/device/{'0' * 64}"
    assert asked["apns-push-type"] == "background"


@pytest.mark.parametrize(
    ("weather", "fault"),
    [
        ("bad", None),
        ("stranger", None),
        ("unregistered", None),
        ("invalid", "APNs refuses our credentials: 403 InvalidProviderToken: check our key"),
        ("topic", "APNs refuses our messages: 400 TopicDisallowed: our key may not send to this"),
        ("page", "APNs refuses our messages: 404 no reason: check the address"),
        ("down", "APNs gives no answer: 503 ServiceUnavailable"),
        ("cut", "APNs gives no answer: no answer"),
    ],
)
def test_a_check_says_whether_apple_takes_our_key_and_our_app(
    transport: ApnsTransport, apns: ApnsServer, weather: str, fault: str | None
) -> None:
    apns.weather = weather

    found = None
    for _ in range(2):  # the second time, Apple is not asked
        try:
            transport.check()
        except TransportUnavailableError as error:
            found = str(error)

    assert (found or "").startswith(fault or "")
    assert bool(found) is bool(fault)
    assert len(apns.requests) == 1


def test_a_check_of_an_apple_that_is_not_there_says_so(tokens: ProviderTokens) -> None:
    transport = ApnsTransport(
        ApnsOptions(topic=TOPIC, base_url="https://localhost:9", sandbox_url="https://localhost:9"),
        tokens,
    )

    with pytest.raises(ProviderAwayError, match="APNs cannot be reached"):
        transport.check()
    transport.close()


def another_curve() -> str:
    key = ec.generate_private_key(ec.SECP384R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda: "", "no private key"),
        (lambda: "none", "no private key"),
        (lambda: KEYS[0][:100], "no private key"),
        (lambda: make_key()[1], "no private key"),
        (lambda: make_key()[0], "no key of the curve P-256"),
        (another_curve, "no key of the curve P-256"),
    ],
    ids=["empty", "a word", "cut off", "a public key", "a key of RSA", "another curve"],
)
def test_a_p8_that_is_no_key_is_named(make: Callable[[], str], fault: str) -> None:
    with pytest.raises(BadKeyError, match=fault):
        read_p8(make())
