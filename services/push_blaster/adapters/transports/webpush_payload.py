"""The content of a message for a browser, before its encryption."""

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from push_blaster.domain.automations.content import Content, given, once_per_content
from push_blaster.domain.automations.overrides import merge_part
from push_blaster.domain.delivery.message import Message

#: The largest message in plain text: RFC 8291 allows one record of 4,096 bytes.
MAX_PLAIN: Final = 3_993
#: Headers that the transport writes.
_OUR_HEADERS: Final = frozenset(
    {"authorization", "content-type", "content-encoding", "content-length", "topic", "host"}
)
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_HEADER_VALUE: Final = re.compile(r"[ -~]{0,500}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """What all messages of a content have in common, part by part; nothing shown is None."""

    notification: Mapping[str, Any] | None
    whole: Mapping[str, Any]
    data: Mapping[str, str]
    headers: tuple[str, ...]


def list_buttons(content: Content) -> list[dict[str, str]]:
    """Return the actions of a message as browsers show them."""
    return [{"action": action.id, "title": action.title} for action in content.actions]


@once_per_content
def _shape_of(content: Content) -> _Shape:
    plain = {
        "headers": {"TTL": content.ttl_s, "Urgency": content.priority},
        "notification": given(image=content.image_url, actions=list_buttons(content)),
    }
    merged = merge_part(plain, content.platforms.get("webpush") or {})
    return _Shape(
        notification=None if content.silent else merged.get("notification", {}),
        whole={} if content.silent else given(badge=content.badge),
        data=merged.get("data", {}),
        headers=tuple(write_own_headers(merged.get("headers", {}), _OUR_HEADERS)),
    )


def write_own_headers(headers: Mapping[str, object], ours: Container[str]) -> Iterator[str]:
    """Yield the lines of the headers that a push may set: all that fit but `ours`."""
    for name, value in headers.items():
        is_ours = name.casefold() in ours or not _HEADER_NAME.fullmatch(name)
        if not is_ours and _HEADER_VALUE.fullmatch(str(value)):
            yield f"{name}: {value}"


def encode_notification(message: Message) -> bytes:
    """Return the message for a browser, before encryption."""
    shape = _shape_of(message.content)
    content: dict[str, Any] = {
        **_describe_look(shape, message),
        **shape.whole,
        "data": {**message.data, **shape.data, **given(receipt=message.receipt)}
        if shape.data
        else message.data,
    }
    return orjson.dumps(content)


def _describe_look(shape: _Shape, message: Message) -> Mapping[str, Any]:
    if shape.notification is None:
        return {}
    return {
        "notification": {
            "title": message.title,
            "body": message.body,
            **shape.notification,
            "tag": message.display_tag,
        }
    }


def write_headers(message: Message) -> tuple[str, ...]:
    """Return the header lines that tell a push service how to treat the message."""
    topic = f"Topic: {message.display_tag}"  # a second copy replaces the first
    return (*_shape_of(message.content).headers, topic)
