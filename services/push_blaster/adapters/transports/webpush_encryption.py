"""The encryption of Web Push (RFC 8291): only the receiver's browser can read the message."""

import base64
import hmac
import os
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from push_blaster.adapters.devices.subscription_keys import _CURVE, SubscriptionKeys

_RECORD_AND_KEY_SIZE: Final = (4_096).to_bytes(4, "big") + bytes([65])


def encrypt(
    plain: bytes,
    receiver: SubscriptionKeys,
    sender: ec.EllipticCurvePrivateKey | None = None,
    salt: bytes | None = None,
) -> bytes:
    """Return `plain` encrypted for the receiver, with a sender's key and salt of its own."""
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
    """Return a public key as Web Push writes it, in 65 bytes, uncompressed."""
    return key.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )


def encode(raw: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _derive(salt: bytes, secret: bytes, info: bytes) -> bytes:
    """Return 32 bytes of HKDF (RFC 5869) with SHA-256: its first block."""
    return hmac.digest(hmac.digest(salt, secret, "sha256"), info + b"\x01", "sha256")
