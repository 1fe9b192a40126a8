"""Webhooks, to a local receiver that checks the signature as Standard Webhooks says."""

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from typing import Any
from uuid import UUID

import pytest

from chassis.clock import utc_now
from push_blaster.adapters.transports.guarded_http import CONNECTIONS, PostOptions
from push_blaster.adapters.transports.post_transport import PostTransport
from push_blaster.adapters.transports.webhook_transport import (
    BadSecretError,
    make_webhook_transport,
    read_secret_key,
)
from push_blaster.domain.delivery.message import Delivery, Message, Outcome
from tests.fakes.post_receiver import PostReceiver, Received, run_post_receiver

KEY = b"thirty-two bytes of a secret key"
RECEIPT = "EA" + "r" * 58
OPTIONS = PostOptions(
    private_networks=(ip_network("127.0.0.0/8"), ip_network("::1/128")),
    answer_timeout=timedelta(seconds=1),
)


@pytest.fixture(scope="module")
def peer() -> Iterator[PostReceiver]:
    with run_post_receiver() as receiver:
        yield receiver


@pytest.fixture
def receiver(peer: PostReceiver) -> PostReceiver:
    peer.received.clear()
    return peer


@pytest.fixture
def transport() -> Iterator[PostTransport]:
    transport = make_webhook_transport(KEY, ["http", "https"], OPTIONS)
    yield transport
    transport.close()


def a_message(number: int, url: str) -> Message:
    return Message(
        user_id=UUID(int=number),
        device_token=url,
        title="Seeds are in",
        body="Come and see",
        deep_link="https://garden.example/seeds",
        display_tag=f"tag-{number}",
        device_kind="webhook",
        receipt=RECEIPT,
    )


def send(transport: PostTransport, *urls: str) -> list[Delivery]:
    messages = [a_message(n, url) for n, url in enumerate(urls)]
    deliveries = list(transport.send(messages, lambda: False))
    assert len(deliveries) == len(messages), "one outcome for each message"
    return sorted(deliveries, key=lambda delivery: delivery.user_id)


def read_signed(request: Received) -> Any:
    """Return the body of a request whose signature fits and is fresh."""
    headers = request.headers
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    digest = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{digest}"
    assert abs(utc_now().timestamp() - int(headers["webhook-timestamp"])) < 60
    return json.loads(request.body)


def test_a_message_is_posted_signed_and_under_its_display_tag(
    transport: PostTransport, receiver: PostReceiver
) -> None:
    (delivery,) = send(transport, receiver.url("ok/alice"))

    assert delivery.outcome is Outcome.SENT
    (request,) = receiver.received
    assert read_signed(request) == {
        "userId": str(UUID(int=0)),
        "displayTag": "tag-0",
        "title": "Seeds are in",
        "body": "Come and see",
        "data": {
            "click_action": "https://garden.example/seeds",
            "url": "https://garden.example/seeds",
            "receipt": RECEIPT,
        },
        "ttlMinutes": 1_440,
        "priority": "high",
    }
    assert request.headers["push-receipt"] == RECEIPT
    assert request.headers["idempotency-key"] == request.headers["webhook-id"] == "tag-0"


@pytest.mark.parametrize(
    ("word", "outcome", "reason", "retry_after_s"),
    [
        ("gone", Outcome.TOKEN_DEAD, "410", None),
        ("unknown", Outcome.FAILED, "404", None),
        ("unsubscribed", Outcome.FAILED, '404: {"code": 404, ', None),
        ("page", Outcome.SENT, "", None),
        ("nothing", Outcome.SENT, "", None),
        ("busy", Outcome.DEFERRED, "429: too many messages", 7),
        ("later", Outcome.DEFERRED, "503", 60),
        ("redirect", Outcome.FAILED, "307: redirects are not followed", None),
        ("redirect-permanently", Outcome.FAILED, "301: redirects are not followed", None),
        ("hang", Outcome.IN_DOUBT, "no answer: ", None),
        ("cut", Outcome.IN_DOUBT, "no answer: ", None),
        ("flood", Outcome.SENT, "", None),
    ],
)
def test_what_a_webhook_answers_decides(
    transport: PostTransport,
    receiver: PostReceiver,
    word: str,
    outcome: Outcome,
    reason: str,
    retry_after_s: float | None,
) -> None:
    (delivery,) = send(transport, receiver.url(f"{word}/alice"))

    assert delivery.outcome is outcome
    assert (delivery.reason or "").startswith(reason)
    assert delivery.retry_after_s == (retry_after_s and pytest.approx(retry_after_s, abs=3))
    assert receiver.paths() == [f"/{word}/alice"], "asked once, and followed nowhere"


def test_the_first_words_of_a_receiver_are_kept(
    transport: PostTransport, receiver: PostReceiver
) -> None:
    (delivery,) = send(transport, receiver.url("wordy/alice"))

    reason = delivery.reason or ""
    assert reason.startswith("400: \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}no no no")
    assert len(reason) == 500


def test_the_slow_keep_nobody_waiting(transport: PostTransport, receiver: PostReceiver) -> None:
    urls = [receiver.url("hang/one"), *(receiver.url(f"ok/{n}") for n in range(50))]
    messages = [a_message(n, url) for n, url in enumerate(urls)]

    order = [d.user_id.int for d in transport.send(messages, lambda: False)]

    assert order[-1] == 0
    assert sorted(order) == list(range(51))


def test_nobody_at_home_is_a_reason_to_try_again(transport: PostTransport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    (delivery,) = send(transport, f"http://localhost:{port}/x")

    assert delivery.outcome is Outcome.DEFERRED
    assert "no connection" in (delivery.reason or "")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"])
def test_private_addresses_are_refused_by_whatever_name(receiver: PostReceiver, host: str) -> None:
    before = receiver.connections
    transport = make_webhook_transport(KEY, ["http"], replace(OPTIONS, private_networks=()))

    (delivery,) = send(transport, receiver.url("ok/alice", host))

    assert delivery.outcome is Outcome.FAILED
    assert "PUSH_PRIVATE_NETWORKS" in (delivery.reason or "")
    assert receiver.connections == before


def test_a_name_that_changes_its_address_after_a_look_up_gains_nothing(
    receiver: PostReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rebinding: whoever looks the name up first is told of a public address."""
    public = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", receiver.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: public)
    before = receiver.connections
    transport = make_webhook_transport(KEY, ["http"], replace(OPTIONS, private_networks=()))

    (delivery,) = send(transport, receiver.url("ok/alice"))

    assert delivery.outcome is Outcome.FAILED
    assert receiver.connections == before


def test_a_proxy_of_the_environment_is_not_asked(
    receiver: PostReceiver, transport: PostTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:1")

    (delivery,) = send(transport, receiver.url("ok/alice"))

    assert delivery.outcome is Outcome.SENT


def test_http_is_refused_where_only_https_is_allowed(receiver: PostReceiver) -> None:
    (delivery,) = send(make_webhook_transport(KEY, ["https"], OPTIONS), receiver.url("ok/alice"))

    assert delivery.outcome is Outcome.FAILED
    assert "has the scheme http; use https" in (delivery.reason or "")


def test_a_stop_begins_nothing_more_and_leaves_what_is_in_flight_in_doubt(
    receiver: PostReceiver,
) -> None:
    patient = replace(OPTIONS, answer_timeout=timedelta(seconds=5))
    transport = make_webhook_transport(KEY, ["http"], patient)
    stop = threading.Event()
    messages = [a_message(n, receiver.url("hang/x")) for n in range(300)]
    threading.Timer(0.3, stop.set).start()

    began = time.monotonic()
    outcomes = [d.outcome for d in transport.send(messages, stop.is_set)]

    assert time.monotonic() - began < 3
    assert outcomes.count(Outcome.IN_DOUBT) == len(receiver.received) == CONNECTIONS
    assert outcomes.count(Outcome.NOT_SENT) == 300 - CONNECTIONS


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AAAA", "whsec_*", "c2VjcmV0" * 5])
def test_what_is_no_secret_is_refused(secret: str) -> None:
    with pytest.raises(BadSecretError):
        read_secret_key(secret)


def test_a_secret_is_read_as_standard_webhooks_write_it() -> None:
    assert read_secret_key("whsec_" + base64.b64encode(KEY).decode()) == KEY
