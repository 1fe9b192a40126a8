"""A local peer that speaks APNs over HTTP/2 and TLS; a device token says in hex what happens."""

import base64
import json
import random
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from chassis.clock import utc_now
from tests.fakes.fcm_server import (
    PAGES,
    SLOW_S,
    UNWELL,
    FcmServer,
    ProviderAnswer,
    behaviour_of,
    hostile_answer,
)

TEAM, KEY_ID, TOPIC = "TEAM123456", "KEY1234567", "com.example.garden"
#: By the first word of a device token: status, reason, and what else the body has.
REFUSALS: Final[dict[str, tuple[int, str, dict[str, object]]]] = {
    "unregistered": (410, "Unregistered", {"timestamp": 1_700_000_000_000}),
    "expired": (410, "ExpiredToken", {}),
    "bad": (400, "BadDeviceToken", {}),
    "stranger": (400, "DeviceTokenNotForTopic", {}),
    "collapse": (400, "BadCollapseId", {}),
    "large": (413, "PayloadTooLarge", {}),
    "topic": (400, "TopicDisallowed", {}),
    "path": (404, "BadPath", {}),
    "busy": (429, "TooManyRequests", {}),
    "updates": (429, "TooManyProviderTokenUpdates", {}),
    "old": (403, "ExpiredProviderToken", {}),
    "invalid": (403, "InvalidProviderToken", {}),
    "forbidden": (403, "Forbidden", {}),
    "idle": (400, "IdleTimeout", {}),
    "broken": (500, "InternalServerError", {}),
    "down": (503, "ServiceUnavailable", {}),
    "shutdown": (503, "Shutdown", {}),
}
#: How old a provider token may be, and how soon the next one may follow, in seconds.
OLDEST_S, SOONEST_S = 3_600, 1_200
_DIGITS: Final = re.compile(r"[0-9]{1,10}")


def hexed(word: str) -> str:
    """Return the device token by which a device behaves as `word` says."""
    return word.encode().hex().ljust(64, "0")


def unhexed(token: str) -> str:
    """Return the word of a device token; what is no hex, or only zeros, is a bad token."""
    try:
        return bytes.fromhex(token).rstrip(b"\0").decode() or "bad"
    except ValueError:
        return "bad"


def make_p8() -> tuple[str, ec.EllipticCurvePublicKey]:
    """Return what a `.p8` file of Apple holds, and the key that proves its signatures."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode(), key.public_key()


@dataclass
class ApnsServer(FcmServer):
    """Serves one app; each request has to be as Apple asks for it.

    Words: those of REFUSALS, and those of FCM's peer that are about streams. `ahead_s` is how far
    its clock is ahead. Messages arrive in `received` as headers and payload.
    """

    public_key: ec.EllipticCurvePublicKey | None = None
    ahead_s: float = 0
    issued: list[int] = field(default_factory=list)
    tokens: Counter[str] = field(default_factory=Counter)

    def judge(self, headers: dict[str, str], body: bytes) -> ProviderAnswer:
        device = unhexed(headers[":path"].removeprefix("/3/device/"))
        with self.lock:
            self.requests.append(headers)
            self.attempts[device] += 1
            word, times = behaviour_of(device)
            word, times = (self.weather, float("inf")) if self.weather else (word, times)
            is_well = self.attempts[device] > times
        fault = self._find_token_fault(headers) or _find_fault(headers, body)
        if fault:
            return _refuse(*fault)
        unwell = None if is_well else _unwell(word)
        if unwell:
            return unwell
        with self.lock:
            self.accepted += 1
            self.received.append({"headers": headers, "payload": json.loads(body)})
        kind = "goaway" if word == "goaway" and not is_well else "answer"
        return ProviderAnswer(200, b"", (("apns-id", headers["apns-id"]),), kind)

    def _find_token_fault(self, headers: dict[str, str]) -> tuple[int, str] | None:
        """Return what is wrong with the provider token, as Apple checks it."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme != "bearer":
            return 403, "MissingProviderToken"
        claims = self._verify(token)
        if claims is None or claims["iss"] != TEAM:
            return 403, "InvalidProviderToken"
        with self.lock:
            self.tokens[token] += 1
            return self._find_fault_of_age(claims["iat"])

    def _find_fault_of_age(self, issued_at_s: int) -> tuple[int, str] | None:
        if not 0 <= utc_now().timestamp() + self.ahead_s - issued_at_s <= OLDEST_S:
            return 403, "ExpiredProviderToken"
        if issued_at_s not in self.issued:
            if self.issued and issued_at_s - self.issued[-1] < SOONEST_S:
                return 429, "TooManyProviderTokenUpdates"
            self.issued.append(issued_at_s)
        return None

    def _verify(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a token; without a public key, whoever signed is believed."""
        signed, _, signature = token.rpartition(".")
        header, claims = (json.loads(_decode(part)) for part in signed.split("."))
        assert isinstance(claims["iat"], int)
        if (header["alg"], header["kid"]) != ("ES256", KEY_ID):
            return None
        is_proven = self.public_key is None or _proves(self.public_key, signed, signature)
        return dict(claims) if is_proven else None


def _proves(key: ec.EllipticCurvePublicKey, signed: str, signature: str) -> bool:
    raw = _decode(signature)
    assert len(raw) == 64
    numbers = (int.from_bytes(half, "big") for half in (raw[:32], raw[32:]))
    try:
        key.verify(encode_dss_signature(*numbers), signed.encode(), ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _unwell(word: str) -> ProviderAnswer | None:
    """Return what a peer answers that takes no message; None if it takes it, perhaps slowly."""
    if word == "slow":
        time.sleep(SLOW_S)
    if word in REFUSALS:
        return _refuse(*REFUSALS[word])
    if word == "hostile":
        return hostile_answer(random.SystemRandom())
    if word in PAGES:
        return ProviderAnswer(404, PAGES[word])
    kind = "answer" if word == "nonsense" else word
    return ProviderAnswer(200, b"<html>", kind=kind) if word in UNWELL else None


def _decode(text: str) -> bytes:
    assert "=" not in text, "the encoding of JSON web tokens has no padding"
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _find_fault(headers: dict[str, str], body: bytes) -> tuple[int, str] | None:
    """Return what Apple would not take of a request."""
    if headers[":method"] != "POST":
        return 405, "MethodNotAllowed"
    if len(body) > 4_096:
        return 413, "PayloadTooLarge"
    payload = json.loads(body)
    for reason, is_fit in (
        ("PayloadEmpty", bool(payload.get("aps"))),
        ("MissingTopic", "apns-topic" in headers),
        ("DeviceTokenNotForTopic", headers.get("apns-topic") == TOPIC),
        ("InvalidPushType", headers.get("apns-push-type") in {"alert", "background"}),
        ("BadPriority", headers.get("apns-priority", "10") in _priorities(headers, payload)),
        ("BadExpirationDate", bool(_DIGITS.fullmatch(headers.get("apns-expiration", "0")))),
        ("BadCollapseId", 1 <= len(headers.get("apns-collapse-id", "x").encode()) <= 64),
        ("BadMessageId", str(UUID(headers["apns-id"])) == headers["apns-id"]),
    ):
        if not is_fit:
            return 400, reason
    return None


def _priorities(headers: dict[str, str], payload: dict[str, Any]) -> set[str]:
    is_background = headers["apns-push-type"] == "background"
    assert is_background != ("alert" in payload["aps"]), "its push type is that of its payload"
    return {"5"} if is_background else {"10", "5", "1"}


def _refuse(status: int, reason: str, more: dict[str, object] | None = None) -> ProviderAnswer:
    return ProviderAnswer(status, json.dumps({"reason": reason, **(more or {})}).encode())
