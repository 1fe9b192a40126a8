"""The encryption of Web Push (RFC 8291): a message that only the receiver's browser can read."""

import base64
import hmac
import os
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

#: The largest message in plain text: RFC 8291 allows one record of 4,096 bytes.
MAX_PLAIN: Final = 3_993
_RECORD_AND_KEY_SIZE: Final = (4_096).to_bytes(4, "big") + bytes([65])
_CURVE: Final = ec.SECP256R1()


class BadKeyError(Exception):
    """A key is none of Web Push; the message says which one and why."""


@dataclass(frozen=True, slots=True)
class SubscriptionKeys:
    """What a subscription's messages are encrypted for."""

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


def encrypt(
    plain: bytes,
    receiver: SubscriptionKeys,
    sender: ec.EllipticCurvePrivateKey | None = None,
    salt: bytes | None = None,
) -> bytes:
    """Return `plain` for the receiver's eyes; each message has its own sender's key and salt."""
    sender = sender or ec.generate_private_key(_CURVE)
    salt = salt or os.urandom(16)
    our_point, their_point = point_of(sender.public_key()), point_of(receiver.p256dh)
    shared = sender.exchange(ec.ECDH(), receiver.p256dh)
    secret = _derive(receiver.auth, shared, b"WebPush: info\0" + their_point + our_point)
    key = _derive(salt, secret, b"Content-Encoding: aes128gcm\0")[:16]
    nonce = _derive(salt, secret, b"Content-Encoding: nonce\0")[:12]
    hidden = AESGCM(key).encrypt(nonce, plain + b"\x02", None)  # 2: the last record
    return salt + _RECORD_AND_KEY_SIZE + our_point + hidden


def point_of(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a public key as Web Push writes it: 65 bytes, uncompressed."""
    return key.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )


def encode(raw: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str, name: str) -> bytes:
    """Return the bytes of base64url, padded or not; BadKeyError names what it is of."""
    bare = text.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise BadKeyError(f"{name} is no base64url") from error


def _derive(salt: bytes, secret: bytes, info: bytes) -> bytes:
    """Return 32 bytes of HKDF (RFC 5869) with SHA-256: its first block."""
    return hmac.digest(hmac.digest(salt, secret, "sha256"), info + b"\x01", "sha256")
