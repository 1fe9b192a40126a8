"""Web Push: messages encrypted for one browser, sent through its push service."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from push_blaster.adapters.devices.subscription_keys import BadKeyError, read_keys
from push_blaster.adapters.transports.guarded_http import Post, PostOptions
from push_blaster.adapters.transports.post_transport import (
    MessageFormat,
    PostTransport,
    UnsendableError,
)
from push_blaster.adapters.transports.vapid import Vapid
from push_blaster.adapters.transports.webpush_encryption import MAX_PLAIN, encrypt
from push_blaster.domain.delivery.message import TTL_S, Message
from push_blaster.domain.devices.device import find_push_host_fault, find_url_fault

_REFUSED: Final = (
    "the push service refuses our VAPID key (WEBPUSH_PRIVATE_KEY), "
    "or the browser subscribed with another one"
)


def make_webpush_transport(
    vapid: Vapid, hosts: Sequence[str], options: PostOptions
) -> PostTransport:
    """Return the transport that sends to subscriptions of the push services `hosts`."""

    def compose(message: Message) -> Post:
        endpoint = message.device_token
        fault = find_url_fault(endpoint, ["https"]) or find_push_host_fault(endpoint, hosts)
        if fault:
            raise UnsendableError(f"the endpoint {fault}")
        url = urlsplit(endpoint)
        return Post(
            endpoint,
            (
                f"Authorization: {vapid.sign(f'{url.scheme}://{url.netloc}')}",
                "Content-Type: application/octet-stream",
                "Content-Encoding: aes128gcm",
                f"TTL: {TTL_S}",
                "Urgency: high",
                f"Topic: {message.display_tag}",  # a second copy replaces the first
            ),
            _encrypted(message),
        )

    hints = {401: _REFUSED, 403: _REFUSED}
    message_format = MessageFormat(compose=compose, dead=frozenset({404, 410}), hints=hints)
    return PostTransport(message_format, options)


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


def _encrypted(message: Message) -> bytes:
    plain = encode_notification(message)
    if len(plain) > MAX_PLAIN:
        raise UnsendableError(f"the message has {len(plain)} bytes; Web Push takes {MAX_PLAIN}")
    try:
        return encrypt(plain, read_keys(message.device_keys))
    except BadKeyError as error:
        raise UnsendableError(f"the subscription's {error}") from error
