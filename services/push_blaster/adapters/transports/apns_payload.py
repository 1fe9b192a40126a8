"""The messages of the Apple Push Notification service (APNs), and the meaning of its answers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import orjson

from push_blaster.adapters.transports.answers import Advice, Judgement, explain, read_object
from push_blaster.adapters.transports.webpush_payload import write_own_headers
from push_blaster.domain.automations.content import Content, Priority, given, once_per_content
from push_blaster.domain.automations.overrides import merge, merge_part
from push_blaster.domain.delivery.message import Message, Outcome
from push_blaster.domain.devices.device import OF_OTHER_TOPIC

#: The largest payload that APNs accepts, in bytes.
MAX_PAYLOAD: Final = 4_096
APNS_PRIORITY: Final = {Priority.HIGH: "10", Priority.NORMAL: "5"}
#: Wakes the app's extension, which shows images and reports deliveries.
WAKES_EXTENSION: Final = {"mutable-content": 1}
#: Headers that the transport writes.
_OUR_HEADERS: Final = frozenset(
    {"authorization", "content-type", "content-length", "host", "apns-collapse-id", "apns-id"}
)
#: The parts of `aps` that a user notices; a message without them is a background message.
_NOTICED: Final = frozenset({"alert", "sound", "badge"})
#: Under this name, the id of a message follows from its display tag and its device.
_IDS: Final = UUID("0a1c67c6-5a46-5c0e-9a0e-6a3a3d4a7b11")


def describe_aps(content: Content) -> Mapping[str, Any]:
    """Return the part `aps` of a payload, without the texts; FCM hands the same on to APNs."""
    if content.silent:
        return {"content-available": 1}  # wakes the app itself
    aps = given(
        sound=content.sound,
        badge=content.badge,
        category=content.category,
        thread_id=content.thread_id,
        interruption_level=content.interruption_level,
    )
    return {name.replace("_", "-"): value for name, value in aps.items()}


def describe_urgency(content: Content, payload: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the headers by which Apple knows a message that nobody notices, and its priority."""
    is_noticed = bool(_NOTICED & (payload.get("aps") or {}).keys())
    return {
        "apns-push-type": "alert" if is_noticed else "background",
        "apns-priority": APNS_PRIORITY[content.priority if is_noticed else Priority.NORMAL],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """What all messages of a content have in common; `over` is what their payload gets last."""

    aps: Mapping[str, Any]
    own: Mapping[str, Any]
    over: Mapping[str, Any]
    headers: tuple[str, ...]
    has_own_expiry: bool
    has_own_topic: bool


@once_per_content
def _shape_of(content: Content) -> _Shape:
    override = content.platforms.get("apns") or {}
    over = {n: v for n, v in (override.get("payload") or {}).items() if n != "receipt"}
    aps = describe_aps(content)
    usual = aps if content.silent else {"alert": {}, **aps}
    plain = describe_urgency(content, merge({"aps": usual}, over))
    headers = merge_part({"headers": plain}, {"headers": override.get("headers") or {}})["headers"]
    lines = tuple(write_own_headers(headers, _OUR_HEADERS))
    return _Shape(
        aps=aps,
        own={} if content.silent else given(imageUrl=content.image_url),
        over=over,
        headers=lines,
        has_own_expiry=any(name.casefold() == "apns-expiration" for name in headers),
        has_own_topic=any(line.lower().startswith("apns-topic:") for line in lines),
    )


def encode_payload(message: Message) -> bytes:
    """Return the payload of one message: texts in `aps`, and beside it what the app reads."""
    shape = _shape_of(message.content)
    aps = dict(shape.aps)
    if not message.content.silent:
        aps |= {"alert": {"title": message.title, "body": message.body}}
        if message.receipt or shape.own:
            aps |= WAKES_EXTENSION
    payload: Mapping[str, Any] = {**message.data, **shape.own, "aps": aps}
    if shape.over:
        payload = merge(payload, shape.over)
    return orjson.dumps(payload)


def write_headers(message: Message, topic: str, now_s: int) -> tuple[str, ...]:
    """Return the header lines that say how APNs treats the message; a second copy replaces it.

    Units: `now_s` is the present in seconds since 1970; the message expires from then on.
    """
    shape, tag = _shape_of(message.content), message.display_tag
    lines = (f"apns-id: {id_of(message)}", f"apns-collapse-id: {tag}", *shape.headers)
    if not shape.has_own_expiry:
        lines += (f"apns-expiration: {now_s + message.content.ttl_s}",)
    if not shape.has_own_topic:
        lines += (f"apns-topic: {topic}",)
    return lines


def id_of(message: Message) -> UUID:
    """Return the id of a message for one device; it is the same whenever the message is sent."""
    return uuid5(_IDS, f"{message.display_tag} {message.device_token}")


def read_answer(status: int, body: bytes, apns_id: str, now: datetime) -> Judgement:
    """Return the meaning of APNs' answer, by its reason, else by the HTTP status."""
    if 200 <= status < 300:
        return _read_success(status, apns_id)
    document = read_object(body)
    reason = document.get("reason")
    known = reason if isinstance(reason, str) and _REASON.fullmatch(reason) else ""
    text = "" if known else body.decode(errors="replace")
    hint = _HINTS.get(known) or ("" if known else _HINTS_BY_STATUS.get(status, ""))
    meaning = _meaning(status, known)
    is_dead = meaning is Outcome.TOKEN_DEAD
    return Judgement(
        meaning=meaning,
        reason=explain(f"{status} {known or 'no reason'}", hint, text),
        is_over_quota=known == "TooManyProviderTokenUpdates" or (status == 429 and not known),
        dead_since=read_timestamp(document.get("timestamp"), now) if is_dead else None,
    )


def read_timestamp(value: object, now: datetime) -> datetime | None:
    """Return the instant that milliseconds since 1970 mean; None if they lie not in the past."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    now_ms = int(now.timestamp() * 1_000)
    if not now_ms - _LONGEST_DEAD / _MS < value < now_ms:
        return None
    return datetime.fromtimestamp(value / 1_000, UTC)


_MS: Final = timedelta(milliseconds=1)
#: An instant that lies further back is no news about a token that somebody registered with us.
_LONGEST_DEAD: Final = timedelta(days=3_650)
_REASON: Final = re.compile(r"[A-Za-z]{1,64}")


def _read_success(status: int, apns_id: str) -> Judgement:
    """Return sent if the answer names the message; else it is unknown who answered, and what."""
    if status == 200 and apns_id:
        return Judgement(meaning=Outcome.SENT, provider_id=apns_id)
    return Judgement(meaning=Outcome.IN_DOUBT, reason=f"{status} without the id of a message")


#: A token that the environment does not know; what it means depends on the other devices.
BAD_TOKEN: Final = "BadDeviceToken"  # noqa: S105 - no password
_OF_ACCOUNT: Final = (
    *(
        "InvalidProviderToken",
        "MissingProviderToken",
        "BadCertificate",
        "BadCertificateEnvironment",
    ),
    *("BadEnvironmentKeyIdInToken", "UnrelatedKeyIdInToken", "Forbidden"),
)
_PASSING: Final = (
    *("TooManyRequests", "TooManyProviderTokenUpdates", "IdleTimeout", "InternalServerError"),
    *("ServiceUnavailable", "Shutdown"),
)
#: Reasons that decide the outcome of a message, whatever the HTTP status is.
_BY_REASON: Final[Mapping[str, Outcome | Advice]] = {
    **dict.fromkeys(("Unregistered", "ExpiredToken", BAD_TOKEN), Outcome.TOKEN_DEAD),
    OF_OTHER_TOPIC: Outcome.FAILED,
    "ExpiredProviderToken": Advice.RENEW_TOKEN,
    **dict.fromkeys(_OF_ACCOUNT, Advice.PAUSE),
    **dict.fromkeys(_PASSING, Advice.RETRY),
}
_BY_STATUS: Final[Mapping[int, Outcome | Advice]] = {
    403: Advice.PAUSE,
    408: Advice.RETRY,
    429: Advice.RETRY,
}
_KEY: Final = "check our key (APNS_PRIVATE_KEY, APNS_KEY_ID, APNS_TEAM_ID)"
#: What an operator can do about a reason, or about a status without a reason.
_HINTS: Final[Mapping[str, str]] = {
    **dict.fromkeys(_OF_ACCOUNT, _KEY),
    "BadEnvironmentKeyIdInToken": "the key is for the other environment (APNS_ENVIRONMENT)",
    OF_OTHER_TOPIC: "the device belongs to another app (APNS_TOPIC)",
    "BadTopic": "check the topic (APNS_TOPIC)",
    "MissingTopic": "check the topic (APNS_TOPIC)",
    "TopicDisallowed": "our key may not send to this app (APNS_TOPIC)",
    "TooManyProviderTokenUpdates": "somebody else makes tokens of our key (APNS_KEY_ID) too often",
    "PayloadTooLarge": "the message is too large",
}
_HINTS_BY_STATUS: Final[Mapping[int, str]] = {
    403: _KEY,
    404: "check the address (APNS_BASE_URL)",
}


def _meaning(status: int, reason: str) -> Outcome | Advice:
    if reason in _BY_REASON:
        return _BY_REASON[reason]
    if status >= 500:
        return Advice.RETRY
    return _BY_STATUS.get(status, Outcome.FAILED)
