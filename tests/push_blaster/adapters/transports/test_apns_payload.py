"""What Apple is sent, and what its answers mean."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from push_blaster.adapters.transports.answers import Advice
from push_blaster.adapters.transports.apns_payload import (
    encode_payload,
    id_of,
    read_answer,
    read_timestamp,
    write_headers,
)
from push_blaster.adapters.transports.fcm_payload import encode_message
from push_blaster.domain.automations.content import (
    PLAIN,
    Action,
    Content,
    InterruptionLevel,
    Priority,
)
from push_blaster.domain.delivery.message import Message, Outcome

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
NOW_S = int(NOW.timestamp())
FULL = Content(
    image_url="https://cdn.example/a.png",
    sound="chime",
    badge=0,
    ttl=timedelta(minutes=10),
    priority=Priority.NORMAL,
    android_channel_id="news",
    interruption_level=InterruptionLevel.TIME_SENSITIVE,
    thread_id="offers",
    category="offer",
    actions=(Action(id="buy", title="Buy", deep_link="https://garden.example/buy"),),
    data={"plant": "fern"},
)


def a_message(content: Content = PLAIN, **changes: str) -> Message:
    message = Message(
        user_id=UUID(int=1),
        device_token="ab" * 32,
        title="Seeds are in",
        body="Come and see",
        deep_link="https://garden.example/seeds",
        display_tag="a-tag",
        device_kind="apns",
        content=content,
    )
    return message._replace(**changes)  # type: ignore[arg-type]  # texts only


def payload_of(message: Message) -> Any:
    return orjson.loads(encode_payload(message))


def headers_of(message: Message) -> dict[str, str]:
    lines = write_headers(message, "com.example.garden", NOW_S)
    pairs = [line.split(": ", 1) for line in lines]
    assert len({name.lower() for name, _ in pairs}) == len(pairs), "each header stands once"
    return {line[0]: line[1] for line in pairs}


def test_every_field_has_its_place() -> None:
    message = a_message(FULL, receipt="EA-r")

    assert payload_of(message) == {
        "aps": {
            "alert": {"title": "Seeds are in", "body": "Come and see"},
            "sound": "chime",
            "badge": 0,
            "category": "offer",
            "thread-id": "offers",
            "interruption-level": "time-sensitive",
            "mutable-content": 1,
        },
        "imageUrl": "https://cdn.example/a.png",
        "click_action": "https://garden.example/seeds",
        "url": "https://garden.example/seeds",
        "receipt": "EA-r",
        "plant": "fern",
        "actions": json.dumps(
            [{"id": "buy", "title": "Buy", "deepLink": "https://garden.example/buy"}]
        ),
    }
    assert headers_of(message) == {
        "apns-id": str(id_of(message)),
        "apns-collapse-id": "a-tag",
        "apns-push-type": "alert",
        "apns-priority": "5",
        "apns-expiration": str(NOW_S + 600),
        "apns-topic": "com.example.garden",
    }


@pytest.mark.parametrize("content", [PLAIN, FULL, Content(silent=True)])
def test_aps_is_what_fcm_hands_on_to_apple(content: Content) -> None:
    message = a_message(content, receipt="r")

    by_fcm = orjson.loads(encode_message(message, NOW_S))["message"]["apns"]

    ours = payload_of(message)["aps"]
    if not content.silent:
        assert ours.pop("alert") == {"title": message.title, "body": message.body}
    assert ours == by_fcm["payload"]["aps"]
    common = by_fcm["headers"]
    assert common == {name: headers_of(message)[name] for name in common}


@pytest.mark.parametrize(
    ("content", "receipt", "wakes"),
    [
        (PLAIN, "", False),
        (PLAIN, "r", True),
        (Content(image_url="https://cdn.example/a.png"), "", True),
    ],
)
def test_the_extension_wakes_for_an_image_or_a_receipt(
    content: Content, receipt: str, wakes: bool
) -> None:
    assert ("mutable-content" in payload_of(a_message(content, receipt=receipt))["aps"]) is wakes


def test_of_a_silent_message_nothing_is_shown() -> None:
    message = a_message(replace(FULL, silent=True), receipt="r")

    assert payload_of(message) == {
        "aps": {"content-available": 1},
        "click_action": "https://garden.example/seeds",
        "url": "https://garden.example/seeds",
        "receipt": "r",
        "plant": "fern",
        "actions": payload_of(a_message(FULL))["actions"],
    }
    headers = headers_of(message)
    assert (headers["apns-push-type"], headers["apns-priority"]) == ("background", "5")


def test_no_key_of_the_app_takes_the_place_of_apples() -> None:
    assert payload_of(a_message(Content(data={"aps": "x"})))["aps"]["alert"]["title"]


def test_an_id_is_that_of_the_message_and_the_device() -> None:
    first = a_message()

    assert id_of(first) == id_of(a_message())
    assert id_of(first) != id_of(a_message(display_tag="b-tag"))
    assert id_of(first) != id_of(a_message(device_token="cd" * 32))


def test_overrides_come_last_and_tag_and_receipt_stay_ours() -> None:
    content = Content(
        sound="chime",
        platforms={
            "apns": {
                "headers": {
                    "APNS-Collapse-Id": "theirs",
                    "authorization": "bearer theirs",
                    "Apns-Priority": "1",
                    "apns-topic": "com.example.garden.voip",
                    "apns-expiration": "0",
                    "x-bad": "a\r\nb",
                },
                "payload": {
                    "aps": {"sound": None, "alert": {"subtitle": "New"}, "mutable-content": None},
                    "receipt": "theirs",
                    "url": None,
                    "own": {"deep": 1},
                },
                "fcm_options": {"image": "https://cdn.example/b.png"},
            }
        },
    )
    message = a_message(content, receipt="r")

    assert payload_of(message) == {
        "aps": {"alert": {"title": "Seeds are in", "body": "Come and see", "subtitle": "New"}},
        "click_action": "https://garden.example/seeds",
        "receipt": "r",
        "own": {"deep": 1},
    }
    assert headers_of(message) == {
        "apns-id": str(id_of(message)),
        "apns-collapse-id": "a-tag",
        "apns-push-type": "alert",
        "apns-priority": "1",
        "apns-topic": "com.example.garden.voip",
        "apns-expiration": "0",
    }


def test_a_message_that_nobody_notices_is_a_background_message() -> None:
    aps = {"alert": None, "content-available": 1}
    message = a_message(Content(platforms={"apns": {"payload": {"aps": aps}}}))

    assert payload_of(message)["aps"] == {"content-available": 1}
    headers = headers_of(message)
    assert (headers["apns-push-type"], headers["apns-priority"]) == ("background", "5")


@pytest.mark.parametrize(
    ("status", "reason", "meaning"),
    [
        (410, "Unregistered", Outcome.TOKEN_DEAD),
        (410, "ExpiredToken", Outcome.TOKEN_DEAD),
        (400, "BadDeviceToken", Outcome.TOKEN_DEAD),
        (400, "DeviceTokenNotForTopic", Outcome.FAILED),
        (400, "BadCollapseId", Outcome.FAILED),
        (400, "BadExpirationDate", Outcome.FAILED),
        (400, "BadMessageId", Outcome.FAILED),
        (400, "BadPriority", Outcome.FAILED),
        (400, "BadTopic", Outcome.FAILED),
        (400, "DuplicateHeaders", Outcome.FAILED),
        (400, "InvalidPushType", Outcome.FAILED),
        (400, "MissingTopic", Outcome.FAILED),
        (400, "PayloadEmpty", Outcome.FAILED),
        (400, "TopicDisallowed", Outcome.FAILED),
        (404, "BadPath", Outcome.FAILED),
        (405, "MethodNotAllowed", Outcome.FAILED),
        (413, "PayloadTooLarge", Outcome.FAILED),
        (403, "ExpiredProviderToken", Advice.RENEW_TOKEN),
        (403, "InvalidProviderToken", Advice.PAUSE),
        (403, "MissingProviderToken", Advice.PAUSE),
        (403, "BadCertificate", Advice.PAUSE),
        (403, "BadCertificateEnvironment", Advice.PAUSE),
        (403, "BadEnvironmentKeyIdInToken", Advice.PAUSE),
        (403, "UnrelatedKeyIdInToken", Advice.PAUSE),
        (403, "Forbidden", Advice.PAUSE),
        (403, "SomethingNew", Advice.PAUSE),
        (429, "TooManyRequests", Advice.RETRY),
        (429, "TooManyProviderTokenUpdates", Advice.RETRY),
        (400, "IdleTimeout", Advice.RETRY),
        (500, "InternalServerError", Advice.RETRY),
        (503, "ServiceUnavailable", Advice.RETRY),
        (503, "Shutdown", Advice.RETRY),
        (502, "SomethingNew", Advice.RETRY),
        (400, "SomethingNew", Outcome.FAILED),
        (410, "SomethingNew", Outcome.FAILED),
    ],
)
def test_each_reason_of_apple_has_its_meaning(
    status: int, reason: str, meaning: Outcome | Advice
) -> None:
    judged = read_answer(status, json.dumps({"reason": reason}).encode(), "", NOW)

    assert judged.meaning is meaning
    assert (judged.reason or "").startswith(f"{status} {reason}")


@pytest.mark.parametrize(
    "body", [b"", b"<html>gone</html>", b"null", b"[]", b'{"reason": 5}', b'{"reason": "<b>"}']
)
@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (400, Outcome.FAILED),
        (403, Advice.PAUSE),
        (404, Outcome.FAILED),
        (410, Outcome.FAILED),
        (429, Advice.RETRY),
        (504, Advice.RETRY),
        (302, Outcome.FAILED),
    ],
)
def test_an_answer_without_a_reason_of_apple_kills_no_device(
    status: int, meaning: Outcome | Advice, body: bytes
) -> None:
    assert read_answer(status, body, "", NOW).meaning is meaning


def test_only_too_many_tokens_slow_the_transport() -> None:
    def is_over_quota(reason: str) -> bool:
        return read_answer(429, json.dumps({"reason": reason}).encode(), "", NOW).is_over_quota

    assert not is_over_quota("TooManyRequests")
    assert is_over_quota("TooManyProviderTokenUpdates")


def test_only_an_answer_that_names_the_message_proves_it() -> None:
    taken = read_answer(200, b"", "an-id", NOW)

    assert (taken.meaning, taken.provider_id) == (Outcome.SENT, "an-id")
    assert read_answer(200, b"", "", NOW).meaning is Outcome.IN_DOUBT
    assert read_answer(204, b"", "an-id", NOW).meaning is Outcome.IN_DOUBT


def test_apple_says_since_when_a_device_is_dead() -> None:
    since = NOW - timedelta(days=3)
    body = {"reason": "Unregistered", "timestamp": int(since.timestamp() * 1_000)}

    assert read_answer(410, json.dumps(body).encode(), "", NOW).dead_since == since


@pytest.mark.parametrize(
    "value", [None, "1", True, -1, 0, 5.5, 10**30, int(NOW_S * 1_000) + 1, [], 1_000]
)
def test_an_instant_that_is_none_is_left_out(value: object) -> None:
    assert read_timestamp(value, NOW) is None
