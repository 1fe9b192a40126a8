"""VAPID (RFC 8292): signatures that identify us to push services."""

from datetime import timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from google.auth import jwt
from google.auth.crypt.es256 import ES256Signer

from chassis.clock import utc_now
from push_blaster.adapters.devices.subscription_keys import BadKeyError, decode
from push_blaster.adapters.transports.webpush_encryption import encode, point_of

#: How long a signature is valid; push services accept up to a day.
TOKEN_LIFETIME: Final = timedelta(hours=12)
RENEW_BEFORE: Final = timedelta(hours=1)
#: How many signatures are kept; users give the endpoints, so the number of origins has no limit.
KEPT: Final = 1_000


class Vapid:
    """Our key pair and contact; one signature serves all messages to an origin for hours."""

    def __init__(self, private_key: str, subject: str) -> None:
        """Take the private key in base64url, and our contact as `mailto:` or `https:`.

        Raises: BadKeyError if the key is not valid.
        """
        raw = decode(private_key, "the private key")
        if len(raw) != 32:
            raise BadKeyError(f"the private key has {len(raw)} bytes, not 32")
        try:
            key = ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256R1())
        except ValueError as error:
            raise BadKeyError("the private key is not on the curve P-256") from error
        self.public_key = encode(point_of(key.public_key()))
        self._signer: Any = ES256Signer(key)
        self._subject = subject
        self._kept: dict[str, tuple[str, float]] = {}

    def sign(self, origin: str) -> str:
        """Return the `Authorization` header for messages to `origin`."""
        now = utc_now()
        header, renew_at = self._kept.get(origin, ("", 0.0))
        if now.timestamp() < renew_at:
            return header
        expiry = now + TOKEN_LIFETIME
        claims = {"aud": origin, "exp": int(expiry.timestamp()), "sub": self._subject}
        token = jwt.encode(self._signer, claims).decode()  # type: ignore[no-untyped-call]  # ships no types
        header = f"vapid t={token}, k={self.public_key}"
        if len(self._kept) >= KEPT:
            self._kept.clear()
        self._kept[origin] = (header, (expiry - RENEW_BEFORE).timestamp())
        return header


def make_key_pair() -> tuple[str, str]:
    """Return a new private key, and the public key for browsers, both in base64url."""
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_numbers().private_value.to_bytes(32, "big")
    return encode(private), encode(point_of(key.public_key()))
