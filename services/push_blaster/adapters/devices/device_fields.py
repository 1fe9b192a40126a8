"""Reads a device as clients write it, in JSON or in a CSV, or refuses it field by field."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from marshmallow import fields, validate

from chassis.instants import is_near
from chassis.names import camel_case
from chassis.schemas import CamelSchema
from push_blaster.adapters.devices.subscription_keys import BadKeyError, read_keys
from push_blaster.domain.audiences.audience import is_user_id
from push_blaster.domain.devices.device import (
    Address,
    DeviceKind,
    find_push_host_fault,
    find_url_fault,
)
from push_blaster.domain.zones import describe_no_zone, list_zones

MAX_TOKEN: Final = 2_048
#: How far a client's clock may be ahead of ours.
SKEW: Final = timedelta(minutes=5)
_NOTHING: Final = (None, "")
_TOKEN: Final = re.compile(r"[!-~]{1,2048}")
#: A language tag of RFC 5646, or a locale of ICU, with what this project needs of them.
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,4}")
#: How many characters of a value an answer repeats.
MAX_SHOWN: Final = 40
_SHORT: Final = re.compile(r"[ -~]{0,50}")


@dataclass(frozen=True, slots=True)
class Device:
    """A device of a user, and its address.

    Shape: `keys` are those of a web push subscription: p256dh, a full stop, auth. A device without
    `last_seen_at` is seen now. `unsaid` are the names of fields that the client did not send: a
    known device keeps what it has. `notes` say what was ignored, and why.
    """

    token: str
    user_id: UUID
    kind: str = DeviceKind.FCM
    platform: str | None = None
    keys: str | None = None
    timezone: str | None = None
    language: str | None = None
    app_version: str | None = None
    last_seen_at: datetime | None = None
    unsaid: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def address(self) -> Address:
        """The address that a message to the device needs."""
        return Address(self.token, self.kind, self.keys or "")


class DeviceRefusedError(Exception):
    """The fields do not make a device; `faults` says why, by field."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        """Take what is wrong."""
        self.faults = faults
        self.lines = tuple(f"{name}: {fault}" for name, fault in faults.items())
        super().__init__("; ".join(self.lines))


class _Fault(Exception):  # noqa: N818 - it never leaves this module
    pass


class _Ignored(Exception):  # noqa: N818 - it never leaves this module
    """A value that is left out, because a device without it is better than no device."""


def read_device(given: object, now: datetime, push_hosts: Sequence[str] | None = None) -> Device:
    """Return the device that `given` describes, under the names of the wire.

    Shape: a browser's subscription may stand as it is under `subscription`; it leads to one of
    `push_hosts`, if they are given. A field that is null is cleared; a field that is missing, or
    whose time zone or language is unknown, is unsaid. Raises: DeviceRefusedError.
    """
    if not isinstance(given, Mapping):
        raise DeviceRefusedError({"device": "is no JSON object."})
    device = _read_fields(_unfold(given))
    faults = _find_faults(device, now) or _find_push_faults(device, push_hosts)
    if faults:
        raise DeviceRefusedError(faults)
    return device


def _read_fields(given: Mapping[str, Any]) -> Device:
    read: dict[str, Any] = {}
    faults: dict[str, str] = {}
    notes: list[str] = []
    for name, field in DEVICE_FIELDS.items():
        if field.wire_name not in given and name not in _REQUIRED:
            continue
        try:
            read[name] = field.read(given.get(field.wire_name))
        except _Fault as fault:
            faults[field.wire_name] = str(fault)
        except _Ignored as ignored:
            notes.append(f"{field.wire_name}: {ignored}")
    if faults:
        raise DeviceRefusedError(faults)
    unsaid = frozenset(DEVICE_FIELDS.keys() - read.keys())
    return Device(**read, unsaid=unsaid, notes=tuple(notes))


def _unfold(given: Mapping[str, Any]) -> Mapping[str, Any]:
    subscription = given.get("subscription")
    if not isinstance(subscription, Mapping):
        return given
    unfolded = {"token": subscription.get("endpoint"), "keys": subscription.get("keys")}
    return {"kind": DeviceKind.WEBPUSH, **given, **unfolded}


def _find_faults(device: Device, now: datetime) -> dict[str, str]:
    """Return the faults of fields that are valid one by one, but do not fit together."""
    if device.last_seen_at and device.last_seen_at > now + SKEW:
        return {"lastSeenAt": "lies in the future."}
    if device.kind in _OF_APPLE and not _APPLE_TOKEN.fullmatch(device.token):
        return {"token": "is no device token of Apple: 64 or more hexadecimal digits."}
    schemes = _SCHEMES.get(device.kind)
    fault = find_url_fault(device.token, schemes) if schemes else None
    return {"token": f"{fault}."} if fault else {}


_OF_APPLE: Final = frozenset({DeviceKind.APNS, DeviceKind.APNS_SANDBOX})
#: Apple says that the length may change.
_APPLE_TOKEN: Final = re.compile(r"([0-9A-Fa-f]{2}){32,100}")
_SCHEMES: Final[Mapping[str, tuple[str, ...]]] = {
    DeviceKind.WEBPUSH: ("https",),
    DeviceKind.WEBHOOK: ("https", "http"),
}


def _find_push_faults(device: Device, push_hosts: Sequence[str] | None) -> dict[str, str]:
    """Return what is wrong with a web push subscription whose endpoint is a URL."""
    if device.kind != DeviceKind.WEBPUSH:
        return {}
    fault = None if push_hosts is None else find_push_host_fault(device.token, push_hosts)
    return {"token": f"{fault}."} if fault else _find_key_faults(device.keys)


def _find_key_faults(keys: str | None) -> dict[str, str]:
    if keys is None:
        return {"keys": "A web push subscription has p256dh and auth."}
    try:
        read_keys(keys)
    except BadKeyError as error:
        return {"keys": f"{error}."}
    return {}


_REQUIRED: Final = frozenset({"token", "user_id"})


def _read_token(value: object) -> str:
    if not value:
        raise _Fault("Missing data for required field.")
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise _Fault(f"Up to {MAX_TOKEN} printable ASCII characters without a space.")
    if value.strip("()[]{}<>\"'").lower() in _NO_TOKENS:
        raise _Fault(f"{value} is no token: the app has none yet. Register when it has one.")
    return value


#: What apps send as the token when they have none, in brackets or quotes or without.
_NO_TOKENS: Final = frozenset(
    ["", "null", "nil", "none", "undefined", "nan", "n/a", "true", "false", "blacklisted"]
)


def _read_user_id(value: object) -> UUID:
    if value in _NOTHING:
        raise _Fault("Missing data for required field.")
    if not isinstance(value, str) or not is_user_id(value):
        raise _Fault("Not a valid UUID.")
    return UUID(value)


def _read_kind(value: object) -> str:
    if value in _NOTHING:
        return DeviceKind.FCM
    if value in _KINDS:
        return str(value)
    raise _Fault(f"Must be one of: {', '.join(_KINDS)}.")


_KINDS: Final = tuple(kind.value for kind in DeviceKind)


def _read_short(value: object) -> str | None:
    if value in _NOTHING:
        return None
    if isinstance(value, str) and _SHORT.fullmatch(value):
        return value
    raise _Fault("Up to 50 printable ASCII characters.")


def _read_keys(value: object) -> str | None:
    if not value:
        return None
    if isinstance(value, Mapping) and all(isinstance(value.get(k), str) for k in _KEYS):
        return ".".join(value[k] for k in _KEYS)
    raise _Fault("An object with p256dh and auth, both base64url.")


_KEYS: Final = ("p256dh", "auth")


def _read_timezone(value: object) -> str | None:
    if value in _NOTHING:
        return None
    if isinstance(value, str) and value in list_zones():
        return value
    raise _Ignored(f"{describe_no_zone(str(value)[:MAX_SHOWN])} The time zone is ignored.")


def _read_language(value: object) -> str | None:
    if value in _NOTHING:
        return None
    tag = value.replace("_", "-") if isinstance(value, str) else ""
    if not _LANGUAGE.fullmatch(tag):
        raise _Ignored(f"{str(value)[:MAX_SHOWN]!r} is no language (de, pt-BR). It is ignored.")
    language, *others = tag.split("-")
    return "-".join([language.lower(), *map(_shape_subtag, others)])


def _shape_subtag(subtag: str) -> str:
    """Return a part of a language tag as RFC 5646 writes it: Hant, BR, and all others small."""
    return {2: subtag.upper(), 4: subtag.title()}.get(len(subtag), subtag.lower())


def _read_instant(value: object) -> datetime | None:
    if value in _NOTHING:
        return None
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        instant = None
    if instant is None or not is_near(instant):
        raise _Fault(f"{str(value)[:40]!r} is no instant (ISO 8601).")
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


class KeysSchema(CamelSchema):
    """The keys of a web push subscription."""

    p256dh = fields.String(required=True)
    auth = fields.String(required=True)


@dataclass(frozen=True, slots=True)
class DeviceField:
    """A field of a device: how it is read, its name on the wire, and its description in OpenAPI.

    The reader stands beside the schema, because devices are also read while a push is sent, a
    batch of them at a time, and loading them by marshmallow would slow the send.
    """

    read: Callable[[object], object]
    wire_name: str
    schema: fields.Field[Any]


def _short_text() -> fields.Field[Any]:
    return fields.String(allow_none=True)


#: The fields of a device, by their attribute.
DEVICE_FIELDS: Final[Mapping[str, DeviceField]] = {
    name: DeviceField(read, camel_case(name), schema)
    for name, read, schema in (
        ("token", _read_token, fields.String(required=True)),
        ("user_id", _read_user_id, fields.UUID(required=True)),
        ("kind", _read_kind, fields.String(load_default="fcm", validate=validate.OneOf(_KINDS))),
        ("platform", _read_short, _short_text()),
        ("timezone", _read_timezone, _short_text()),
        ("language", _read_language, _short_text()),
        ("app_version", _read_short, _short_text()),
        ("keys", _read_keys, fields.Nested(KeysSchema, load_only=True)),
        ("last_seen_at", _read_instant, fields.AwareDateTime()),
    )
}
