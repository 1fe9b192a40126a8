"""Web Push: encrypted for one browser, carried by the push service of its maker."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from push_blaster.adapters.devices.subscription_keys import BadKeyError, read_keys
from push_blaster.adapters.transports.guarded_http import Post, PostOptions
from push_blaster.adapters.transports.post_transport import PostTransport, Recipe, UnsendableError
from push_blaster.adapters.transports.vapid import Vapid
from push_blaster.adapters.transports.webpush_encryption import MAX_PLAIN, encrypt
from push_blaster.domain.delivery.message import Message
from push_blaster.domain.devices.device import find_push_host_fault, find_url_fault

TTL_S: Final = 86_400
_REFUSED: Final = (
    "the push service refuses our VAPID key (WEBPUSH_PRIVATE_KEY), "
    "or the browser subscribed with another one"
)


def make_webpush_transport(
    vapid: Vapid, hosts: Sequence[str], options: PostOptions
) -> PostTransport:
    """Return what sends to subscriptions of the push services `hosts`."""

    def compose(message: Message) -> Post:
        endpoint = message.device_token
        fault = find_url_fault(endpoint, ["https"]) or find_push_host_fault(endpoint, hosts)
        if fault:
            raise UnsendableError(f"the endpoint {fault}")
        parts = urlsplit(endpoint)
        return Post(
            endpoint,
            (
                f"Authorization: {vapid.sign(f'{parts.scheme}://{parts.netloc}')}",
                "Content-Type: application/octet-stream",
                "Content-Encoding: aes128gcm",
                f"TTL: {TTL_S}",
                "Urgency: high",
                f"Topic: {message.display_tag}",  # a second copy replaces the first
            ),
            _encrypted(message),
        )

    hints = {401: _REFUSED, 403: _REFUSED}
    recipe = Recipe(compose=compose, dead=frozenset({404, 410}), hints=hints)
    return PostTransport(recipe, options)


def encode_notification(message: Message) -> bytes:
    """Return what a browser gets, before it is encrypted."""
    link = message.deep_link
    content: dict[str, Any] = {
        "notification": {
            "title": message.title,
            "body": message.body,
            "tag": message.display_tag,
        },
        "data": {"click_action": link, "url": link} if link else {},
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
