"""The content of a message for a browser, before its encryption."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from push_blaster.domain.automations.content import Content, given, once_per_content
from push_blaster.domain.delivery.message import Message

#: The largest message in plain text: RFC 8291 allows one record of 4,096 bytes.
MAX_PLAIN: Final = 3_993


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """What all messages of a content have in common, part by part."""

    notification: Mapping[str, Any]
    whole: Mapping[str, Any]
    headers: tuple[str, ...]


def list_buttons(content: Content) -> list[dict[str, str]]:
    """Return the actions of a message as browsers show them."""
    return [{"action": action.id, "title": action.title} for action in content.actions]


@once_per_content
def _shape_of(content: Content) -> _Shape:
    headers = {"TTL": content.ttl_s, "Urgency": content.priority}
    return _Shape(
        notification=given(image=content.image_url, actions=list_buttons(content)),
        whole=given(badge=content.badge),
        headers=tuple(f"{name}: {value}" for name, value in headers.items()),
    )


def encode_notification(message: Message) -> bytes:
    """Return the message for a browser, before encryption."""
    shape = _shape_of(message.content)
    content: dict[str, Any] = {
        "notification": {
            "title": message.title,
            "body": message.body,
            **shape.notification,
            "tag": message.display_tag,
        },
        **shape.whole,
        "data": message.data,
    }
    return orjson.dumps(content)


def write_headers(message: Message) -> tuple[str, ...]:
    """Return the header lines that tell a push service how to treat the message."""
    topic = f"Topic: {message.display_tag}"  # a second copy replaces the first
    return (*_shape_of(message.content).headers, topic)
