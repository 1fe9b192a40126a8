"""Web Push, to a local push service whose messages a browser's keys can read."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from chassis.clock import utc_now
from push_blaster.adapters.devices.subscription_keys import BadKeyError, read_keys
from push_blaster.adapters.transports.guarded_http import PostOptions
from push_blaster.adapters.transports.post_transport import PostTransport
from push_blaster.adapters.transports.vapid import Vapid, make_key_pair
from push_blaster.adapters.transports.webpush_encryption import encrypt
from push_blaster.adapters.transports.webpush_payload import encode_notification
from push_blaster.adapters.transports.webpush_transport import make_webpush_transport
from push_blaster.domain.automations.content import Action, Content, Priority
from push_blaster.domain.delivery.message import Delivery, Message, Outcome
from tests.fakes.browser import Browser, read_vapid, unb64
from tests.fakes.post_receiver import PostReceiver, run_post_receiver

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
PRIVATE, PUBLIC = make_key_pair()
BROWSER = Browser()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostReceiver]:
    with run_post_receiver(tmp_path_factory.mktemp("tls")) as receiver:
        yield receiver


@pytest.fixture(autouse=True)
def _forget(service: PostReceiver) -> None:
    service.received.clear()


@pytest.fixture
def transport(service: PostReceiver) -> Iterator[PostTransport]:
    options = PostOptions(private_networks=LOOPBACK, ca_file=service.ca_file)
    transport = make_webpush_transport(
        Vapid(PRIVATE, "mailto:push@garden.test"), ["localhost"], options
    )
    yield transport
    transport.close()


def a_message(number: int, endpoint: str, browser: Browser = BROWSER) -> Message:
    return Message(
        user_id=UUID(int=number),
        device_token=endpoint,
        title="Seeds are in 🌱",
        body="Come and see",
        deep_link="https://garden.example/seeds",
        display_tag=f"tag-{number}",
        device_kind="webpush",
        device_keys=f"{browser.keys['p256dh']}.{browser.keys['auth']}",
        receipt=f"receipt-{number}",
    )


def send(transport: PostTransport, *messages: Message) -> list[Delivery]:
    deliveries = list(transport.send(messages, lambda: False))
    assert len(deliveries) == len(messages), "one outcome for each message"
    return sorted(deliveries, key=lambda delivery: delivery.user_id)


def test_a_message_is_read_by_its_browser_only_and_says_who_sent_it(
    transport: PostTransport, service: PostReceiver
) -> None:
    other = Browser()
    endpoint = service.url("ok/alice")

    (one, two) = send(transport, a_message(0, endpoint), a_message(1, endpoint, other))

    assert (one.outcome, one.provider_id) == (Outcome.SENT, "/receipt/1")
    assert two.outcome is Outcome.SENT
    by_topic = {request.headers["topic"]: request for request in service.received}
    link = "https://garden.example/seeds"
    assert BROWSER.read(by_topic["tag-0"].body) == {
        "notification": {"title": "Seeds are in 🌱", "body": "Come and see", "tag": "tag-0"},
        "data": {"click_action": link, "url": link, "receipt": "receipt-0"},
    }
    assert other.read(by_topic["tag-1"].body)["notification"]["tag"] == "tag-1"
    headers = by_topic["tag-0"].headers
    assert (headers["ttl"], headers["urgency"]) == ("86400", "high")
    assert headers["content-encoding"] == "aes128gcm"
    claims, key = read_vapid(headers["authorization"])
    assert key == PUBLIC
    assert claims["aud"] == service.url("").rstrip("/")
    assert claims["sub"] == "mailto:push@garden.test"
    assert 3_600 < claims["exp"] - utc_now().timestamp() <= 86_400


def test_a_browser_gets_the_content_and_its_push_service_how_to_treat_it(
    transport: PostTransport, service: PostReceiver
) -> None:
    content = Content(
        image_url="https://cdn.example/seeds.png",
        badge=3,
        ttl=timedelta(minutes=5),
        priority=Priority.NORMAL,
        actions=(Action(id="see", title="See", deep_link="https://garden.example/see"),),
        data={"screen": "shop"},
    )

    send(transport, a_message(0, service.url("ok/alice"))._replace(content=content))

    (request,) = service.received
    body = BROWSER.read(request.body)
    assert body["notification"] == {
        "title": "Seeds are in 🌱",
        "body": "Come and see",
        "image": "https://cdn.example/seeds.png",
        "actions": [{"action": "see", "title": "See"}],
        "tag": "tag-0",
    }
    assert body["data"]["screen"] == "shop"
    assert json.loads(body["data"]["actions"]) == [
        {"id": "see", "title": "See", "deepLink": "https://garden.example/see"}
    ]
    assert body["badge"] == 3
    assert (request.headers["ttl"], request.headers["urgency"]) == ("300", "normal")


def test_a_silent_message_has_data_alone() -> None:
    shown = Content(image_url="https://cdn.example/a.png", badge=3, data={"plant": "fern"})
    over = {"webpush": {"notification": {"title": "theirs"}, "data": {"own": "a"}}}
    message = a_message(1, "https://localhost/ok/x")
    data = {
        "click_action": "https://garden.example/seeds",
        "url": "https://garden.example/seeds",
        "plant": "fern",
        "receipt": "receipt-1",
    }

    for content, expected in (
        (replace(shown, silent=True), {"data": data}),
        (replace(shown, silent=True, platforms=over), {"data": {**data, "own": "a"}}),
    ):
        silent = message._replace(content=content)
        assert json.loads(encode_notification(silent)) == expected


def test_overrides_reach_browsers_and_tag_topic_and_receipt_stay_ours(
    transport: PostTransport, service: PostReceiver
) -> None:
    over = {
        "headers": {"TTL": "9", "topic": "theirs", "Authorization": "x", "A": "b\r\nEvil: 1"},
        "notification": {"tag": "theirs", "title": "Other", "silent": True},
        "data": {"own": "a", "receipt": "theirs"},
    }
    message = a_message(0, service.url("ok/alice"))

    send(transport, message._replace(content=Content(platforms={"webpush": over})))

    (request,) = service.received
    body = BROWSER.read(request.body)
    assert body["notification"] == {
        "title": "Other",
        "body": "Come and see",
        "silent": True,
        "tag": "tag-0",
    }
    assert (body["data"]["own"], body["data"]["receipt"]) == ("a", "receipt-0")
    headers = request.headers
    assert (headers["ttl"], headers["topic"], headers["urgency"]) == ("9", "tag-0", "high")
    assert headers["authorization"].startswith("vapid ")
    assert "evil" not in headers
    assert "a" not in headers


def test_one_signature_serves_an_origin_and_one_connection_many_messages(
    transport: PostTransport, service: PostReceiver
) -> None:
    before = service.connections

    sent = send(transport, *[a_message(n, service.url(f"ok/{n}")) for n in range(300)])

    assert {delivery.outcome for delivery in sent} == {Outcome.SENT}
    assert len({request.headers["authorization"] for request in service.received}) == 1
    assert len({request.path for request in service.received}) == 300
    assert service.connections - before <= 8


def test_the_example_of_the_rfc_is_reproduced_to_the_byte() -> None:
    """RFC 8291, appendix A."""
    number = int.from_bytes(unb64("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), "big")
    keys = read_keys(
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
        ".BTBZMqHH6r4Tts7J_aSIgg"
    )

    hidden = encrypt(
        b"When I grow up, I want to be a watermelon",
        keys,
        ec.derive_private_key(number, ec.SECP256R1()),
        unb64("DGv6ra1nlYgDCS1FRnbzlw"),
    )

    assert hidden == unb64(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYW"
        "AmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSx"
        "sj_Qulcy4a-fN"
    )


@pytest.mark.parametrize(
    ("word", "outcome", "reason"),
    [
        ("accepted", Outcome.SENT, ""),
        ("gone", Outcome.TOKEN_DEAD, "410"),
        ("unsubscribed", Outcome.TOKEN_DEAD, '404: {"code": 404, "errno": 102, '),
        ("unknown", Outcome.FAILED, "404"),
        ("lost-page", Outcome.FAILED, "404: <html> Not Found</html>"),
        ("other-errno", Outcome.FAILED, '404: {"code": 404, "errno": 103, '),
        ("list", Outcome.FAILED, "404: [102]"),
        ("page", Outcome.IN_DOUBT, "200: <html>It works!</html>"),
        ("nothing", Outcome.IN_DOUBT, "204"),
        (
            "other-key",
            Outcome.FAILED,
            "400: the browser subscribed with another key than ours (WEBPUSH_PRIVATE_KEY): "
            '{"reason":"VapidPkHashMismatch"}',
        ),
        ("wrong-subject", Outcome.FAILED, "403: check our address (WEBPUSH_SUBJECT)"),
        ("large", Outcome.FAILED, "413: the message is too large"),
        ("stranger", Outcome.FAILED, "403: the push service refuses our VAPID key"),
        ("anonymous", Outcome.FAILED, "401: the push service refuses our VAPID key"),
        ("busy", Outcome.DEFERRED, "429: too many messages"),
        ("down", Outcome.DEFERRED, "503"),
        ("redirect", Outcome.FAILED, "307: redirects are not followed"),
    ],
)
def test_what_a_push_service_answers_decides(
    transport: PostTransport, service: PostReceiver, word: str, outcome: Outcome, reason: str
) -> None:
    (delivery,) = send(transport, a_message(0, service.url(f"{word}/alice")))

    assert delivery.outcome is outcome
    assert (delivery.reason or "").startswith(reason)
    assert len(service.received) == 1, "asked once, and followed nowhere"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"device_token": "https://evil.example/x"}, "none of the push services"),
        ({"device_token": "https://localhost.evil.example/x"}, "none of the push services"),
        ({"device_token": "http://localhost/x"}, "has the scheme http"),
        ({"device_token": "https://localhost\\@evil.example/"}, "is no plain URL"),
        ({"device_token": "https://me@localhost/"}, "is no plain URL"),
        ({"device_token": "https://localhost/\r\nX: y"}, "is no plain URL"),
        ({"device_token": "file:///etc/passwd"}, "is no plain URL"),
        ({"device_keys": ""}, "auth has 0 bytes"),
        ({"device_keys": f"{BROWSER.keys['p256dh']}.abc*"}, "auth is no base64url"),
        ({"device_keys": f"AAAA.{BROWSER.keys['auth']}"}, "p256dh is no point"),
        ({"body": "x" * 4_000}, "Web Push takes 3993"),
    ],
)
def test_what_is_no_subscription_is_sent_nowhere_and_stops_nobody_else(
    transport: PostTransport, service: PostReceiver, changes: dict[str, Any], reason: str
) -> None:
    bad = a_message(0, service.url("ok/bad"))._replace(**changes)

    (first, second) = send(transport, bad, a_message(1, service.url("ok/good")))

    assert first.outcome is Outcome.FAILED
    assert reason in (first.reason or "")
    assert second.outcome is Outcome.SENT
    assert service.paths() == ["/ok/good"]


def test_a_name_stands_for_itself_and_a_star_for_all_below(service: PostReceiver) -> None:
    options = PostOptions(private_networks=LOOPBACK, ca_file=service.ca_file)
    vapid = Vapid(PRIVATE, "mailto:push@garden.test")
    below = make_webpush_transport(vapid, ["*.localhost"], options)

    (delivery,) = send(below, a_message(0, service.url("ok/alice")))

    assert delivery.outcome is Outcome.FAILED
    assert service.received == []


def test_a_certificate_of_somebody_else_is_refused(service: PostReceiver) -> None:
    options = PostOptions(private_networks=LOOPBACK)
    vapid = Vapid(PRIVATE, "mailto:push@garden.test")

    (delivery,) = send(
        make_webpush_transport(vapid, ["localhost"], options),
        a_message(0, service.url("ok/alice")),
    )

    assert delivery.outcome is Outcome.DEFERRED
    assert "certificate" in (delivery.reason or "")
    assert service.received == []


@pytest.mark.parametrize("key", ["", "AAAA", "A" * 43, "*"])
def test_what_is_no_vapid_key_is_refused(key: str) -> None:
    with pytest.raises(BadKeyError):
        Vapid(key, "mailto:push@garden.test")
