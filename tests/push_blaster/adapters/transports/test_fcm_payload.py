"""What FCM is sent, beside what Google's own library would send; and what its answers mean."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from firebase_admin import messaging
from firebase_admin._messaging_encoder import MessageEncoder
from hypothesis import given
from hypothesis import strategies as st

from push_blaster.adapters.transports.answers import Advice
from push_blaster.adapters.transports.fcm_payload import encode_message, read_answer
from push_blaster.domain.automations.content import (
    PLAIN,
    Action,
    Content,
    InterruptionLevel,
    Priority,
)
from push_blaster.domain.delivery.message import Message, Outcome
from tests.fakes.fcm_server import BAD_REQUEST, FCM_ERROR

TEXTS = st.text(max_size=60)
ENCODER = MessageEncoder()


NOW_S = 1_800_000_000
NAMES = st.text(max_size=20)
CONTENTS = st.builds(
    Content,
    image_url=st.sampled_from(["", "https://cdn.example/a.png"]),
    sound=NAMES,
    badge=st.none() | st.integers(0, 99_999),
    ttl=st.integers(1, 40_320).map(lambda minutes: timedelta(minutes=minutes)),
    priority=st.sampled_from(Priority),
    android_channel_id=NAMES,
    interruption_level=st.none() | st.sampled_from(InterruptionLevel),
    thread_id=NAMES,
    category=NAMES,
    silent=st.booleans(),
    actions=st.lists(st.builds(Action, id=NAMES, title=NAMES, deep_link=NAMES), max_size=3).map(
        tuple
    ),
    data=st.dictionaries(st.text("abc", min_size=1), NAMES, max_size=3),
)


def aps_by_google(content: Content) -> messaging.APNSPayload:
    if content.silent:
        return messaging.APNSPayload(messaging.Aps(content_available=True))
    level = {"interruption-level": content.interruption_level} if content.interruption_level else {}
    aps = messaging.Aps(
        sound=content.sound or None,
        badge=content.badge,
        thread_id=content.thread_id or None,
        category=content.category or None,
        mutable_content=True,
        custom_data=level or None,
    )
    return messaging.APNSPayload(aps)


def shown(action: Action) -> dict[str, str]:
    parts = {"id": action.id, "title": action.title, "deepLink": action.deep_link}
    return {name: text for name, text in parts.items() if text}


def by_google(message: Message) -> Any:
    link, tag, content = message.deep_link, message.display_tag, message.content
    data = {"click_action": link, "url": link} if link else {}
    data |= {"receipt": message.receipt} if message.receipt else {}
    data |= content.data
    if content.actions:
        data["actions"] = json.dumps([shown(one) for one in content.actions], ensure_ascii=False)
    buttons = [messaging.WebpushNotificationAction(a.id, a.title) for a in content.actions]
    to = {"fid" if message.device_kind == "fid" else "token": message.device_token}
    return ENCODER.default(
        messaging.Message(
            **to,
            notification=None
            if content.silent
            else messaging.Notification(message.title, message.body, content.image_url or None),
            data=data or None,
            android=messaging.AndroidConfig(
                priority=content.priority,
                ttl=content.ttl,
                notification=None
                if content.silent
                else messaging.AndroidNotification(
                    tag=tag,
                    sound=content.sound or None,
                    channel_id=content.android_channel_id or None,
                    notification_count=content.badge,
                ),
            ),
            apns=messaging.APNSConfig(
                headers={
                    "apns-collapse-id": tag,
                    "apns-priority": "5"
                    if content.silent or content.priority == "normal"
                    else "10",
                    "apns-expiration": str(NOW_S + content.ttl_s),
                    **({"apns-push-type": "background"} if content.silent else {}),
                },
                payload=aps_by_google(content),
            ),
            webpush=messaging.WebpushConfig(
                headers={"TTL": str(content.ttl_s), "Urgency": content.priority},
                notification=None
                if content.silent
                else messaging.WebpushNotification(tag=tag, actions=buttons or None),
            ),
        )
    )


MESSAGES = st.builds(
    Message,
    user_id=st.just(UUID(int=1)),
    device_token=st.text(min_size=1, max_size=60),
    title=TEXTS,
    body=TEXTS,
    deep_link=TEXTS,
    display_tag=st.just("a-tag"),
    device_kind=st.sampled_from(["fcm", "fid"]),
    receipt=st.sampled_from(["", "EA" + "r" * 58]),
    content=st.just(PLAIN) | CONTENTS,
)


@pytest.mark.filterwarnings("ignore:Message.token is deprecated")  # both kinds are registered
@given(message=MESSAGES)
def test_it_is_what_googles_library_would_send(message: Message) -> None:
    assert orjson.loads(encode_message(message, NOW_S)) == {"message": by_google(message)}


def test_no_override_shows_a_silent_message() -> None:
    over: dict[str, dict[str, Any]] = {
        "android": {"notification": {"title": "theirs"}, "collapse_key": "sync"},
        "apns": {"headers": {"apns-priority": "1"}},
        "webpush": {"notification": {"title": "theirs"}},
    }
    content = Content(silent=True, sound="chime", badge=3, platforms=over)
    message = Message(UUID(int=1), "token", "T", "B", "app://x", "ours", content=content)

    body = orjson.loads(encode_message(message, NOW_S))["message"]

    assert "notification" not in body
    assert body["android"] == {"priority": "high", "ttl": "86400s", "collapse_key": "sync"}
    assert body["webpush"] == {"headers": {"TTL": "86400", "Urgency": "high"}}
    assert body["apns"]["payload"] == {"aps": {"content-available": 1}}
    assert body["apns"]["headers"] == {
        "apns-collapse-id": "ours",
        "apns-expiration": str(NOW_S + 86_400),
        "apns-priority": "1",
        "apns-push-type": "background",
    }


def test_overrides_come_last_and_tag_and_receipt_stay_ours() -> None:
    content = Content(
        sound="chime",
        badge=3,
        platforms={
            "android": {
                "collapse_key": "news",
                "ttl": "60s",
                "notification": {"tag": "theirs", "sound": None, "ticker": "T"},
                "data": {"own": "a", "receipt": "theirs"},
            },
            "apns": {
                "headers": {"Apns-Collapse-Id": "theirs", "APNS-Expiration": "0"},
                "payload": {
                    "aps": {"badge": 9, "alert": {"subtitle": "S"}},
                    "own": [1],
                    "receipt": "theirs",
                },
            },
            "webpush": {
                "notification": {"tag": "theirs", "requireInteraction": True},
                "headers": {"urgency": "low"},
            },
        },
    )
    message = Message(UUID(int=1), "token", "T", "B", "app://x", "ours", receipt="R")

    bodies = [
        orjson.loads(encode_message(message._replace(content=content), NOW_S))["message"]
        for _ in "ab"
    ]

    assert bodies[0] == bodies[1]
    link = {"click_action": "app://x", "url": "app://x"}
    assert bodies[0]["android"] == {
        "priority": "high",
        "ttl": "60s",
        "collapse_key": "news",
        "data": {**link, "own": "a", "receipt": "R"},
        "notification": {"notification_count": 3, "ticker": "T", "tag": "ours"},
    }
    assert bodies[0]["apns"] == {
        "headers": {"apns-priority": "10", "apns-expiration": "0", "apns-collapse-id": "ours"},
        "payload": {
            "aps": {
                "sound": "chime",
                "badge": 9,
                "mutable-content": 1,
                "alert": {"subtitle": "S"},
            },
            "own": [1],
        },
    }
    assert bodies[0]["webpush"] == {
        "headers": {"TTL": "86400", "Urgency": "low"},
        "notification": {"requireInteraction": True, "tag": "ours"},
    }


def test_a_rehearsal_asks_for_validation_only() -> None:
    message = Message(UUID(int=1), "token", "T", "B", "", "a-tag")

    assert orjson.loads(encode_message(message, NOW_S, validate_only=True))["validate_only"] is True


def answer(**error: Any) -> bytes:
    return orjson.dumps({"error": error})


def detail(code: object) -> dict[str, object]:
    return {"@type": FCM_ERROR, "errorCode": code}


def violation(field: object, description: object = "") -> dict[str, object]:
    fields = {"field": field, "description": description}
    return {"@type": BAD_REQUEST, "fieldViolations": [fields]}


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (200, orjson.dumps({"name": "a"}), Outcome.SENT),
        (200, orjson.dumps({"name": ""}), Outcome.IN_DOUBT),
        (200, orjson.dumps({"name": ["a"]}), Outcome.IN_DOUBT),
        (200, answer(details=[detail("UNREGISTERED")]), Outcome.IN_DOUBT),
        (204, b"", Outcome.IN_DOUBT),
        (301, b"<html>", Outcome.FAILED),
        (400, answer(details=[detail("INVALID_ARGUMENT")]), Outcome.FAILED),
        (400, answer(details=[violation("message.token")]), Outcome.TOKEN_DEAD),
        (400, answer(details=[violation("message.token_ttl")]), Outcome.FAILED),
        (400, answer(details=[violation("message.android.ttl")]), Outcome.FAILED),
        (400, answer(details=[violation(["message.token"], 7)]), Outcome.FAILED),
        (
            400,
            answer(details=[{"fieldViolations": {"field": "message.token"}}]),
            Outcome.FAILED,
        ),
        (404, answer(details=[detail("UNREGISTERED")]), Outcome.TOKEN_DEAD),
        (404, answer(details=detail("UNREGISTERED")), Outcome.FAILED),
        (404, answer(details=[None, 3, [detail("UNREGISTERED")]]), Outcome.FAILED),
        (404, answer(details=[{"errorCode": "UNREGISTERED"}]), Outcome.FAILED),
        (404, answer(details=[detail(["UNREGISTERED"])]), Outcome.FAILED),
        (404, answer(details=[detail(None)]), Outcome.FAILED),
        (404, answer(status="UNREGISTERED"), Outcome.FAILED),
        (404, answer(message={"a": "message.token"}), Outcome.FAILED),
        (403, answer(details=[detail("SENDER_ID_MISMATCH")]), Outcome.FAILED),
        (403, b"", Advice.RENEW_TOKEN),
        (429, b"", Advice.RETRY),
        (500, answer(details=[detail("INTERNAL")]), Advice.RETRY),
        (999, b"\x00", Advice.RETRY),
    ],
)
def test_an_answer_of_any_shape_has_one_meaning(
    status: int, body: bytes, meaning: Outcome | Advice
) -> None:
    judged = read_answer(status, body)

    assert judged.meaning is meaning
    assert judged.reason is None or len(judged.reason) <= 500


def test_an_error_without_a_code_is_told_with_its_status_and_words() -> None:
    body = answer(status="NOT_FOUND", message="No such project.", details=[detail(None)])

    assert (read_answer(404, body).reason or "").startswith("404 NOT_FOUND: check project and")
