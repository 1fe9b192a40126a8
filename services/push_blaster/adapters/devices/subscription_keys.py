"""The keys of a Web Push subscription, as a browser registers them."""

import base64
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

_CURVE: Final = ec.SECP256R1()


class BadKeyError(Exception):
    """A key is not a Web Push key; the message names the key and the reason."""


@dataclass(frozen=True, slots=True)
class SubscriptionKeys:
    """The keys for which a subscription's messages are encrypted."""

    p256dh: ec.EllipticCurvePublicKey
    auth: bytes


def read_keys(text: str) -> SubscriptionKeys:
    """Return the keys of a subscription, `p256dh.auth` in base64url; BadKeyError."""
    p256dh, _, auth = text.partition(".")
    secret = decode(auth, "auth")
    if len(secret) != 16:
        raise BadKeyError(f"auth has {len(secret)} bytes, not 16")
    try:
        point = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, decode(p256dh, "p256dh"))
    except ValueError as error:
        raise BadKeyError("p256dh is no point of the curve P-256") from error
    return SubscriptionKeys(point, secret)


def decode(text: str, name: str) -> bytes:
    """Return the bytes of base64url, padded or not; BadKeyError names the key."""
    bare = text.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise BadKeyError(f"{name} is no base64url") from error
