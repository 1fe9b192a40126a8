"""Answers that nobody thought of, to every transport: each costs at most its own message."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from push_blaster.adapters.transports.apns_transport import (
    ApnsKey,
    ApnsOptions,
    ApnsTransport,
    ProviderTokens,
    read_p8,
)
from push_blaster.adapters.transports.fcm_transport import FcmOptions, FcmTransport
from push_blaster.adapters.transports.google_tokens import GoogleTokens
from push_blaster.adapters.transports.guarded_http import PostOptions
from push_blaster.adapters.transports.webhook_transport import make_webhook_transport
from push_blaster.domain.delivery.message import Delivery, Message, Outcome
from push_blaster.domain.delivery.transport import PushTransport
from tests.fakes.apns_server import KEY_ID, TEAM, TOPIC, ApnsServer, hexed, make_p8
from tests.fakes.fcm_server import run_fcm_server, run_provider
from tests.fakes.post_receiver import run_post_receiver
from tests.fakes.token_server import make_key, run_token_server
from tests.fuzz.throwing import CASES

#: How many answers each of the two ways to the outside gets; `make fuzz CASES=` asks for more.
ANSWERS: Final = CASES // 2
#: Messages that are sent at once, as from one batch; every third one is well received.
AT_ONCE: Final = 100


def _messages(first: int, address: str, kind: str) -> list[Message]:
    """Return one batch; `address` has a place for the word that says how its receiver behaves."""
    return [
        Message(
            user_id=UUID(int=number),
            device_token=address.format("ok" if number % 3 == 0 else "hostile", number),
            title="Seeds are in",
            body="Come and see",
            deep_link="",
            display_tag=f"tag-{number}",
            device_kind=kind,
        )
        for number in range(first, first + AT_ONCE)
    ]


def _to_another_host(message: Message) -> Message:
    return message._replace(device_token=message.device_token.replace("localhost", "127.0.0.1"))


def _judge(transport: PushTransport, messages: Sequence[Message]) -> Counter[Outcome]:
    """Send a batch: each message has one outcome, and a well received one is sent."""
    deliveries = list(transport.send(messages, lambda: False))

    assert sorted(d.user_id for d in deliveries) == [m.user_id for m in messages]
    well = [d for d in deliveries if d.user_id.int % 3 == 0]
    assert {d.outcome for d in well} == {Outcome.SENT}, _first_wrong(well)
    for delivery in deliveries:
        pause = delivery.retry_after_s
        assert pause is None or 0 <= pause < 1e9, delivery
    return Counter(delivery.outcome for delivery in deliveries)


def _first_wrong(deliveries: Sequence[Delivery]) -> Delivery:
    return next(d for d in deliveries if d.outcome is not Outcome.SENT)


@pytest.fixture
def fcm(tmp_path: Path) -> Iterator[FcmTransport]:
    private, _ = make_key()
    with run_fcm_server(tmp_path) as server, run_token_server(None) as google:
        account = {
            "client_email": "push@garden.test",
            "private_key": private,
            "token_uri": google.url,
        }
        options = FcmOptions(project_id="garden", base_url=server.url, ca_file=server.ca_file)
        transport = FcmTransport(options, GoogleTokens(account, None))
        yield transport
        transport.close()


@pytest.fixture
def apns(tmp_path: Path) -> Iterator[ApnsTransport]:
    private, _ = make_p8()
    with run_provider(ApnsServer, tmp_path) as server:
        options = ApnsOptions(
            topic=TOPIC, base_url=server.url, sandbox_url=server.url, ca_file=server.ca_file
        )
        key = ApnsKey(private_key=read_p8(private), key_id=KEY_ID, team_id=TEAM)
        transport = ApnsTransport(options, ProviderTokens(key))
        yield transport
        transport.close()


def test_no_answer_to_apple_touches_another_message(apns: ApnsTransport) -> None:
    outcomes: Counter[Outcome] = Counter()
    for first in range(1, ANSWERS + 1, AT_ONCE):
        messages = _messages(first, "{}-{}", "apns")
        outcomes += _judge(apns, [m._replace(device_token=hexed(m.device_token)) for m in messages])

    assert outcomes[Outcome.SENT] == sum(n % 3 == 0 for n in range(1, outcomes.total() + 1))
    assert not outcomes[Outcome.TOKEN_DEAD], "no hostile answer is a word of Apple's"


def test_no_answer_to_fcm_touches_another_message(fcm: FcmTransport) -> None:
    outcomes: Counter[Outcome] = Counter()
    for first in range(1, ANSWERS + 1, AT_ONCE):
        outcomes += _judge(fcm, _messages(first, "{}-{}", "fcm"))

    assert outcomes[Outcome.SENT] == sum(n % 3 == 0 for n in range(1, outcomes.total() + 1)), (
        "no hostile answer proves that a message was taken"
    )


def test_no_answer_of_a_receiver_touches_another_message() -> None:
    options = PostOptions(
        private_networks=(ip_network("127.0.0.0/8"), ip_network("::1/128")),
        answer_timeout=timedelta(seconds=30),
    )
    transport = make_webhook_transport(b"thirty-two bytes of a secret key", ["http"], options)
    with run_post_receiver() as peer:
        for first in range(1, ANSWERS + 1, AT_ONCE):
            messages = _messages(first, f"http://localhost:{peer.port}/{{}}/{{}}", "webhook")
            _judge(
                transport, [_to_another_host(m) if m.user_id.int % 3 == 0 else m for m in messages]
            )
    transport.close()
