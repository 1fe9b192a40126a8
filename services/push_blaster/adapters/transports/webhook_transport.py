"""Webhooks: each message as one signed JSON post, in the form of Standard Webhooks."""

import base64
import hmac
from collections.abc import Sequence
from typing import Final

import orjson

from chassis.clock import utc_now
from push_blaster.adapters.transports.guarded_http import Post, PostOptions
from push_blaster.adapters.transports.post_transport import PostTransport, Recipe, UnsendableError
from push_blaster.domain.delivery.message import Message
from push_blaster.domain.devices.device import find_url_fault

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what every secret of Standard Webhooks begins with
LEAST_SECRET: Final = 24


class BadSecretError(Exception):
    """The secret is none of Standard Webhooks."""


def make_webhook_transport(
    secret: bytes, schemes: Sequence[str], options: PostOptions
) -> PostTransport:
    """Return what posts messages to webhooks.

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

    return PostTransport(Recipe(compose=compose, dead=frozenset({410})), options)


def read_secret_key(text: str) -> bytes:
    """Return the key of a secret, `whsec_` and base64; BadSecretError."""
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError as error:
        raise BadSecretError("is no base64 behind whsec_") from error
    if not text.startswith(SECRET_PREFIX) or len(key) < LEAST_SECRET:
        raise BadSecretError(f"is not whsec_ with at least {LEAST_SECRET} bytes in base64")
    return key


def _body(message: Message) -> bytes:
    link = message.deep_link
    return orjson.dumps(
        {
            "userId": message.user_id,
            "displayTag": message.display_tag,
            "title": message.title,
            "body": message.body,
            "data": {"click_action": link, "url": link} if link else {},
        }
    )
