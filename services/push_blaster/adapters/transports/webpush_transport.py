"""Web Push: messages encrypted for one browser, sent through its push service."""

from collections.abc import Sequence
from typing import Final
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
from push_blaster.adapters.transports.webpush_encryption import encrypt
from push_blaster.adapters.transports.webpush_payload import (
    MAX_PLAIN,
    encode_notification,
    write_headers,
)
from push_blaster.domain.delivery.message import Message
from push_blaster.domain.devices.device import find_push_host_fault, find_url_fault

#: The statuses by which a push service says that it took a message; 200 may come from a proxy.
_TAKEN: Final = frozenset({201, 202})
#: The error of Mozilla's push service for a subscription that it does not know.
_UNKNOWN_SUBSCRIPTION: Final = 102
_OTHER_KEY: Final = "the browser subscribed with another key than ours (WEBPUSH_PRIVATE_KEY)"
_REFUSED: Final = (
    "the push service refuses our VAPID key (WEBPUSH_PRIVATE_KEY), "
    "or the browser subscribed with another one"
)
#: What an operator can do about the words of a push service.
_HINTS: Final = {
    "VapidPkHashMismatch": _OTHER_KEY,
    "do not correspond to the credentials used to create the subscription": _OTHER_KEY,
    "BadJwtToken": "check our address (WEBPUSH_SUBJECT), a mailto: or https: one, and the clock",
}


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
                *write_headers(message),
            ),
            _encrypted(message),
        )

    message_format = MessageFormat(compose=compose, taken=_TAKEN, is_dead=_is_dead, hint=_hint)
    return PostTransport(message_format, options)


def _is_dead(status: int, body: bytes) -> bool:
    """Return whether the service says that it has no such subscription; a bare 404 does not."""
    if status != 404:
        return status == 410
    try:
        document = orjson.loads(body)
    except ValueError:
        return False
    return isinstance(document, dict) and document.get("errno") == _UNKNOWN_SUBSCRIPTION


def _hint(status: int, text: str) -> str:
    known = (hint for sign, hint in _HINTS.items() if sign in text)
    return next(known, _REFUSED if status in {401, 403} else "")


def _encrypted(message: Message) -> bytes:
    plain = encode_notification(message)
    if len(plain) > MAX_PLAIN:
        raise UnsendableError(f"the message has {len(plain)} bytes; Web Push takes {MAX_PLAIN}")
    try:
        return encrypt(plain, read_keys(message.device_keys))
    except BadKeyError as error:
        raise UnsendableError(f"the subscription's {error}") from error
