"""The messages of FCM v1, and the meaning of its answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

import orjson

from push_blaster.domain.delivery.message import TTL_S, Message, Outcome

#: The largest message that FCM accepts, in bytes.
MAX_BYTES: Final = 4_096
#: How long to wait after a 429 without `Retry-After`, as Google advises.
QUOTA_PAUSE_S: Final = 60.0
_FCM_ERROR: Final = "type.googleapis.com/google.firebase.fcm.v1.FcmError"


class Advice(Enum):
    """The next action after an answer that is not final."""

    RETRY = auto()
    RENEW_TOKEN = auto()


@dataclass(frozen=True, slots=True)
class Judgement:
    """The meaning of an answer of FCM: a final outcome or an advice, with the reason.

    Units: `pause_s` is how long to wait if the answer does not say; None means the usual backoff.
    """

    meaning: Outcome | Advice
    reason: str | None = None
    provider_id: str | None = None
    pause_s: float | None = None


def encode_message(message: Message, *, validate_only: bool = False) -> bytes:
    """Return the body for one message; its display tag makes a second copy replace the first."""
    tag = message.display_tag
    content: dict[str, Any] = {
        "fid" if message.device_kind == "fid" else "token": message.device_token,
        "notification": {"title": message.title, "body": message.body},
        "android": {"priority": "high", "ttl": f"{TTL_S}s", "notification": {"tag": tag}},
        "apns": {"headers": {"apns-collapse-id": tag, "apns-priority": "10"}},
        "webpush": {"headers": {"TTL": str(TTL_S)}, "notification": {"tag": tag}},
    }
    if data := message.data:
        content["data"] = data
    body: dict[str, Any] = {"message": content}
    if validate_only:
        body["validate_only"] = True
    return orjson.dumps(body)


def read_answer(status: int, body: bytes) -> Judgement:
    """Return the meaning of FCM's answer, by its error code, else by the HTTP status."""
    document = _parse(body)
    if 200 <= status < 300:
        return _read_success(status, document)
    error = document.get("error")
    error = error if isinstance(error, Mapping) else {}
    code = _find_code(error)
    reason = f"{status} {code or error.get('status') or 'no code'}"
    pause_s = QUOTA_PAUSE_S if status == 429 else None
    return Judgement(_meaning(status, code), reason, pause_s=pause_s)


def _read_success(status: int, document: Mapping[str, Any]) -> Judgement:
    """Return sent if the answer names the message; else nobody knows who answered, and what."""
    name = document.get("name")
    if isinstance(name, str) and name:
        return Judgement(Outcome.SENT, provider_id=name)
    return Judgement(Outcome.IN_DOUBT, f"{status} without the name of a message")


#: Codes that decide the outcome of a message, whatever the HTTP status is.
_BY_CODE: Final[Mapping[str, Outcome | Advice]] = {
    "UNREGISTERED": Outcome.TOKEN_DEAD,
    "INVALID_ARGUMENT": Outcome.TOKEN_DEAD,  # with an FcmError, the token is invalid
    "SENDER_ID_MISMATCH": Outcome.FAILED,
    "THIRD_PARTY_AUTH_ERROR": Outcome.FAILED,
    "APNS_AUTH_ERROR": Outcome.FAILED,
    "QUOTA_EXCEEDED": Advice.RETRY,
    "UNAVAILABLE": Advice.RETRY,
    "INTERNAL": Advice.RETRY,
}
_BY_STATUS: Final[Mapping[int, Outcome | Advice]] = {
    401: Advice.RENEW_TOKEN,
    403: Advice.RENEW_TOKEN,
    404: Outcome.TOKEN_DEAD,
    408: Advice.RETRY,
    429: Advice.RETRY,
}


def _meaning(status: int, code: str | None) -> Outcome | Advice:
    if code is not None and code in _BY_CODE:
        return _BY_CODE[code]
    if status >= 500:
        return Advice.RETRY
    return _BY_STATUS.get(status, Outcome.FAILED)


def _find_code(error: Mapping[str, Any]) -> str | None:
    details = error.get("details")
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, Mapping) and detail.get("@type") == _FCM_ERROR:
            return str(detail.get("errorCode"))
    return None


def _parse(body: bytes) -> Mapping[str, Any]:
    try:
        document = orjson.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, Mapping) else {}
