"""Webhooks: each message is one signed JSON post, as Standard Webhooks defines it."""

import base64
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from secrets import token_bytes
from typing import Final

import orjson

from chassis.clock import utc_now
from push_blaster.adapters.transports.described_content import describe_content
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
    """Return the transport that posts messages to webhooks."""

    def compose(message: Message) -> Post:
        url, tag = message.device_token, message.display_tag
        fault = find_url_fault(url, schemes)
        if fault:
            raise UnsendableError(f"the webhook {fault}")
        body = _body(message)
        receipt = {"Push-Receipt": message.receipt} if message.receipt else {}
        signed = sign([secret], tag, body, utc_now())
        headers = {"Idempotency-Key": tag, **receipt, **signed}
        return Post(url, write_headers(headers), body)

    return PostTransport(MessageFormat(compose=compose), options)


def sign(keys: Sequence[bytes], message_id: str, body: bytes, now: datetime) -> Mapping[str, str]:
    """Return the headers of Standard Webhooks, with a signature by each key.

    Source: https://www.standardwebhooks.com: a signature covers id, timestamp and body. A message
    has the same id whenever it is posted, so that a receiver knows it again.
    """
    at = int(now.timestamp())
    signed = f"{message_id}.{at}.".encode() + body
    digests = [hmac.digest(key, signed, "sha256") for key in keys]
    signatures = [f"v1,{base64.b64encode(digest).decode()}" for digest in digests]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        **({"webhook-signature": " ".join(signatures)} if signatures else {}),
    }


def write_headers(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the lines of the headers of a post of JSON."""
    lines = (f"{name}: {value}" for name, value in headers.items())
    return ("Content-Type: application/json", *lines)


def make_secret() -> str:
    """Return a new secret of Standard Webhooks."""
    return f"{SECRET_PREFIX}{base64.b64encode(token_bytes(32)).decode()}"


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
            **describe_content(message.content),
        }
    )
