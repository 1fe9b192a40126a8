"""The messages of FCM v1, and the meaning of its answers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from push_blaster.adapters.transports.answers import Advice, Judgement, explain, read_object
from push_blaster.adapters.transports.apns_payload import (
    APNS_PRIORITY,
    WAKES_EXTENSION,
    describe_aps,
    describe_urgency,
)
from push_blaster.adapters.transports.webpush_payload import list_buttons
from push_blaster.domain.automations.content import Content, given, once_per_content
from push_blaster.domain.automations.overrides import merge, merge_part
from push_blaster.domain.delivery.message import Message, Outcome
from push_blaster.domain.devices.device import OF_OTHER_PROJECT

#: The largest message that FCM accepts, in bytes.
MAX_BYTES: Final = 4_096
#: How long to wait after a 429 without `Retry-After`, as Google advises.
QUOTA_PAUSE_S: Final = 60.0
_FCM_ERROR: Final = "type.googleapis.com/google.firebase.fcm.v1.FcmError"


#: Stand for the tag and the expiry of a message until they are known; no document has NUL.
_TAG: Final = "\0"
_EXPIRY: Final = "\0\0"
_MARKS: Final = {_TAG: b"%(tag)b", _EXPIRY: b"%(expiry)b"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """What all messages of a content have in common.

    Shape: `look` is what is shown besides the texts; None if nothing is. `platforms` is the JSON of
    the parts of the platforms, with places for tag and expiry.
    """

    look: Mapping[str, Any] | None
    platforms: bytes
    ttl_s: int
    has_own_data: bool


@once_per_content
def _shape_of(content: Content) -> _Shape:
    over = content.platforms
    described = _describe_silent(content) if content.silent else _describe_platforms(content)
    ours = _OURS_OF_SILENT if content.silent else _OURS
    parts = {
        name: merge_part(merge_part(merge(part, ours[name]), over.get(name) or {}), ours[name])
        for name, part in described.items()
    }
    return _Shape(
        look=None if content.silent else given(image=content.image_url),
        platforms=_write(parts),
        ttl_s=content.ttl_s,
        has_own_data=any("data" in part for part in parts.values()),
    )


#: What no override changes.
_OURS: Final[Mapping[str, Mapping[str, Any]]] = {
    "android": {"notification": {"tag": _TAG}},
    "apns": {"headers": {"apns-collapse-id": _TAG}, "payload": {"receipt": None}},
    "webpush": {"notification": {"tag": _TAG}},
}
#: A message that nobody sees has no tag but Apple's; no override makes it visible.
_OURS_OF_SILENT: Final[Mapping[str, Mapping[str, Any]]] = {
    "android": {"notification": None},
    "apns": _OURS["apns"],
    "webpush": {"notification": None},
}


def _describe_platforms(content: Content) -> Mapping[str, Mapping[str, Any]]:
    priority = {"apns-priority": APNS_PRIORITY[content.priority], "apns-expiration": _EXPIRY}
    look = given(
        channel_id=content.android_channel_id,
        sound=content.sound,
        notification_count=content.badge,
    )
    return {
        "android": {
            "priority": content.priority,
            "ttl": f"{content.ttl_s}s",
            "notification": look,
        },
        "apns": {
            "payload": {"aps": {**describe_aps(content), **WAKES_EXTENSION}},
            "headers": priority,
        },
        "webpush": {
            "headers": {"TTL": str(content.ttl_s), "Urgency": content.priority},
            "notification": given(actions=list_buttons(content)),
        },
    }


def _describe_silent(content: Content) -> Mapping[str, Mapping[str, Any]]:
    """Return the parts of a message of data alone."""
    payload = {"aps": describe_aps(content)}
    return {
        "android": {"priority": content.priority, "ttl": f"{content.ttl_s}s"},
        "apns": {
            "payload": payload,
            "headers": {**describe_urgency(content, payload), "apns-expiration": _EXPIRY},
        },
        "webpush": {"headers": {"TTL": str(content.ttl_s), "Urgency": content.priority}},
    }


def _write(parts: Mapping[str, Any]) -> bytes:
    """Return the JSON of the parts, with the places of the marks."""
    text = orjson.dumps(parts).replace(b"%", b"%%")
    for mark, place in _MARKS.items():
        text = text.replace(orjson.dumps(mark), place)
    return text


def encode_message(message: Message, now_s: int, *, validate_only: bool = False) -> bytes:
    """Return the body for one message; its display tag makes a second copy replace the first.

    Units: `now_s` is the present in seconds since 1970; the message expires from then on.
    """
    shape = _shape_of(message.content)
    tag, expiry = orjson.dumps(message.display_tag), b'"%d"' % (now_s + shape.ttl_s)
    platforms = shape.platforms % {b"tag": tag, b"expiry": expiry}
    content: dict[str, Any] = {
        "fid" if message.device_kind == "fid" else "token": message.device_token,
    }
    if shape.look is not None:
        content["notification"] = {"title": message.title, "body": message.body, **shape.look}
    if data := message.data:
        content["data"] = data
    if shape.has_own_data:
        platforms = _keep_receipt(platforms, message)
    # Both are objects in JSON: the second one continues the first one.
    whole = orjson.dumps(content)[:-1] + b"," + platforms[1:]
    return b'{"message":%b%b}' % (whole, b',"validate_only":true' if validate_only else b"")


def _keep_receipt(platforms: bytes, message: Message) -> bytes:
    """Return the parts with link and receipt in data of their own, which replaces all data."""
    link = given(click_action=message.deep_link, url=message.deep_link)
    receipt = given(receipt=message.receipt)
    parts = orjson.loads(platforms)
    for part in parts.values():
        if "data" in part:
            part["data"] = {**link, **part["data"], **receipt}
    return orjson.dumps(parts)


def read_answer(status: int, body: bytes) -> Judgement:
    """Return the meaning of FCM's answer, by its error code, else by the HTTP status."""
    document = read_object(body)
    if 200 <= status < 300:
        return _read_success(status, document)
    error = document.get("error")
    error = error if isinstance(error, Mapping) else {}
    code = _find_code(error)
    head = f"{status} {code or error.get('status') or 'no code'}"
    text = error.get("message")
    text = text if isinstance(text, str) else body.decode(errors="replace")
    hint = _HINTS.get(code or "", "") or ("" if code else _HINTS_BY_STATUS.get(status, ""))
    pause_s = QUOTA_PAUSE_S if status == 429 else None
    is_dead = code == "UNREGISTERED" or (status == 400 and _blames_token(error))
    meaning = Outcome.TOKEN_DEAD if is_dead else _meaning(status, code)
    return Judgement(
        meaning=meaning,
        reason=explain(head, hint, text),
        pause_s=pause_s,
        is_over_quota=status == 429,
    )


def _read_success(status: int, document: Mapping[str, Any]) -> Judgement:
    """Return sent if the answer names the message; else it is unknown who answered, and what."""
    name = document.get("name")
    if isinstance(name, str) and name:
        return Judgement(meaning=Outcome.SENT, provider_id=name)
    reason = f"{status} without the name of a message"
    return Judgement(meaning=Outcome.IN_DOUBT, reason=reason)


#: Codes that decide the outcome of a message, whatever the HTTP status is.
_BY_CODE: Final[Mapping[str, Outcome | Advice]] = {
    "INVALID_ARGUMENT": Outcome.FAILED,
    OF_OTHER_PROJECT: Outcome.FAILED,
    "THIRD_PARTY_AUTH_ERROR": Outcome.FAILED,
    "APNS_AUTH_ERROR": Outcome.FAILED,
    "QUOTA_EXCEEDED": Advice.RETRY,
    "UNAVAILABLE": Advice.RETRY,
    "INTERNAL": Advice.RETRY,
}
_BY_STATUS: Final[Mapping[int, Outcome | Advice]] = {
    401: Advice.RENEW_TOKEN,
    403: Advice.RENEW_TOKEN,
    408: Advice.RETRY,
    429: Advice.RETRY,
}
_APPLES_KEY: Final = "the Firebase project's APNs key or web key is not valid"
#: What an operator can do about an error code, or about a status without a code.
_HINTS: Final[Mapping[str, str]] = {
    OF_OTHER_PROJECT: "the device registered with another project (FIREBASE_PROJECT_ID)",
    "THIRD_PARTY_AUTH_ERROR": _APPLES_KEY,
    "APNS_AUTH_ERROR": _APPLES_KEY,
}
_HINTS_BY_STATUS: Final[Mapping[int, str]] = {
    403: "check that our account may send (FIREBASE_CLIENT_EMAIL, FIREBASE_PROJECT_ID)",
    404: "check project and address (FIREBASE_PROJECT_ID, FCM_BASE_URL)",
}
#: How an error says that it is about the device's token, and not about the rest of the message.
_TOKEN_NAMED: Final = re.compile(r"\bmessage\.(?:token|fid)\b|not a valid FCM registration token")


def _meaning(status: int, code: str | None) -> Outcome | Advice:
    if code is not None and code in _BY_CODE:
        return _BY_CODE[code]
    if status >= 500:
        return Advice.RETRY
    return _BY_STATUS.get(status, Outcome.FAILED)


def _blames_token(error: Mapping[str, Any]) -> bool:
    """Return whether the error's message or one of its violated fields names the token."""
    violations = [
        violation
        for detail in _mappings(error.get("details"))
        for violation in _mappings(detail.get("fieldViolations"))
    ]
    texts = [error.get("message")]
    texts += [violation.get(key) for violation in violations for key in ("field", "description")]
    return any(isinstance(text, str) and _TOKEN_NAMED.search(text) for text in texts)


def _find_code(error: Mapping[str, Any]) -> str | None:
    for detail in _mappings(error.get("details")):
        if detail.get("@type") == _FCM_ERROR:
            error_code = detail.get("errorCode")
            return error_code if isinstance(error_code, str) else None
    return None


def _mappings(items: object) -> list[Mapping[str, Any]]:
    """Return the mappings in a list of JSON; none if the value is not a list."""
    return [i for i in items if isinstance(i, Mapping)] if isinstance(items, list) else []
