"""The content of a message for a browser, before its encryption."""

from typing import Any, Final

import orjson

from push_blaster.domain.delivery.message import Message

#: The largest message in plain text: RFC 8291 allows one record of 4,096 bytes.
MAX_PLAIN: Final = 3_993


def encode_notification(message: Message) -> bytes:
    """Return the message for a browser, before encryption."""
    content: dict[str, Any] = {
        "notification": {
            "title": message.title,
            "body": message.body,
            "tag": message.display_tag,
        },
        "data": message.data,
    }
    return orjson.dumps(content)
