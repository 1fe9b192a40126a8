"""Webhooks: each message is one signed JSON post, as Standard Webhooks defines it."""

import base64
import hmac
from collections.abc import Sequence
from typing import Final

import orjson

from chassis.clock import utc_now
from push_blaster.adapters.transports.guarded_http import Post, PostOptions
from push_blaster.adapters.transports.post_transport import (
    MessageFormat,
    PostTransport,
    UnsendableError,
)
from push_blaster.domain.delivery.message import Message
from push_blaster.domain.devices.device import find_url_fault

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the prefix of every secret
MIN_SECRET: Final = 24


class BadSecretError(Exception):
    """The secret does not have the form of Standard Webhooks."""


def make_webhook_transport(
    secret: bytes, schemes: Sequence[str], options: PostOptions
) -> PostTransport:
    """Return the transport that posts messages to webhooks.

    Source: https://www.standardwebhooks.com: the signature covers id, timestamp and body.
    """

    def compose(message: Message) -> Post:
        url, tag = message.device_token, message.display_tag
        fault = find_url_fault(url, schemes)
        if fault:
            raise UnsendableError(f"the webhook {fault}")
        body, at = _body(message), int(utc_now().timestamp())
        digest = hmac.digest(secret, f"{tag}.{at}.".encode() + body, "sha256")
        headers = (
            "Content-Type: application/json",
            f"Idempotency-Key: {tag}",
            f"webhook-id: {tag}",
            f"webhook-timestamp: {at}",
            f"webhook-signature: v1,{base64.b64encode(digest).decode()}",
        )
        return Post(url, headers, body)

    return PostTransport(MessageFormat(compose=compose), options)


def read_secret_key(text: str) -> bytes:
    """Return the key of a secret, which is `whsec_` and base64; BadSecretError."""
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError as error:
        raise BadSecretError("is no base64 behind whsec_") from error
    if not text.startswith(SECRET_PREFIX) or len(key) < MIN_SECRET:
        raise BadSecretError(f"is not whsec_ with at least {MIN_SECRET} bytes in base64")
    return key


def _body(message: Message) -> bytes:
    return orjson.dumps(
        {
            "userId": message.user_id,
            "displayTag": message.display_tag,
            "title": message.title,
            "body": message.body,
            "data": message.data,
        }
    )
