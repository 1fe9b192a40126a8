"""What FCM is sent, beside what Google's own library would send for the same message."""

from typing import Any
from uuid import UUID

import orjson
import pytest
from firebase_admin import messaging
from firebase_admin._messaging_encoder import MessageEncoder
from hypothesis import given
from hypothesis import strategies as st

from push_blaster.adapters.transports.fcm_payload import encode_message
from push_blaster.domain.delivery.message import TTL_S, Message

TEXTS = st.text(max_size=60)
ENCODER = MessageEncoder()


def by_google(message: Message) -> Any:
    link, tag = message.deep_link, message.display_tag
    to = {"fid" if message.device_kind == "fid" else "token": message.device_token}
    return ENCODER.default(
        messaging.Message(
            **to,
            notification=messaging.Notification(message.title, message.body),
            data={"click_action": link, "url": link} if link else None,
            android=messaging.AndroidConfig(
                priority="high",
                ttl=TTL_S,
                notification=messaging.AndroidNotification(tag=tag),
            ),
            apns=messaging.APNSConfig(headers={"apns-collapse-id": tag, "apns-priority": "10"}),
            webpush=messaging.WebpushConfig(
                headers={"TTL": str(TTL_S)},
                notification=messaging.WebpushNotification(tag=tag),
            ),
        )
    )


@pytest.mark.filterwarnings("ignore:Message.token is deprecated")  # both kinds are registered
@given(
    token=st.text(min_size=1, max_size=60),
    title=TEXTS,
    body=TEXTS,
    link=TEXTS,
    kind=st.sampled_from(["fcm", "fid"]),
)
def test_it_is_what_googles_library_would_send(
    token: str, title: str, body: str, link: str, kind: str
) -> None:
    message = Message(UUID(int=1), token, title, body, link, "a-tag", device_kind=kind)

    assert orjson.loads(encode_message(message)) == {"message": by_google(message)}


def test_a_rehearsal_asks_for_validation_only() -> None:
    message = Message(UUID(int=1), "token", "T", "B", "", "a-tag")

    assert orjson.loads(encode_message(message, validate_only=True))["validate_only"] is True
