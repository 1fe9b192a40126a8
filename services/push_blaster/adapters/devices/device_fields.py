"""A device as clients write it, in JSON or as a row of a CSV: read, or refused by name."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final
from uuid import UUID
from zoneinfo import available_timezones

from push_blaster.adapters.devices.subscription_keys import BadKeyError, read_keys
from push_blaster.domain.audiences.audience import is_user_id
from push_blaster.domain.devices.device import (
    Address,
    DeviceKind,
    find_push_host_fault,
    find_url_fault,
)
from push_blaster.domain.zones import is_near

MAX_TOKEN: Final = 2_048
#: How far ahead of ours a client's clock may be.
SKEW: Final = timedelta(minutes=5)
_NOTHING: Final = (None, "")
_TOKEN: Final = re.compile(r"[!-~]{1,2048}")
_SHORT: Final = re.compile(r"[ -~]{0,50}")


@dataclass(frozen=True, slots=True)
class Device:
    """A device of a user, and what reaches it.

    Shape: `keys` are those of a web push subscription: p256dh, a full stop, auth. Without
    `last_seen_at` it is seen now.
    """

    token: str
    user_id: UUID
    kind: str = DeviceKind.FCM
    platform: str | None = None
    keys: str | None = None
    timezone: str | None = None
    app_version: str | None = None
    last_seen_at: datetime | None = None

    @property
    def address(self) -> Address:
        """What a message to it needs."""
        return Address(self.token, self.kind, self.keys or "")


class DeviceRefusedError(Exception):
    """The fields make no device; `faults` says by field why."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        """Take what is wrong."""
        super().__init__("; ".join(f"{name}: {fault}" for name, fault in faults.items()))
        self.faults = faults


class _Fault(Exception):  # noqa: N818 - it never leaves this module
    pass


def read_device(fields: object, now: datetime, push_hosts: Sequence[str] | None = None) -> Device:
    """Return the device that `fields` describe, under the names of the wire.

    Shape: a browser's subscription may stand as it is under `subscription`; it leads to one of
    `push_hosts`, if they are given. Raises: DeviceRefusedError.
    """
    if not isinstance(fields, Mapping):
        raise DeviceRefusedError({"device": "is no JSON object."})
    given = _unfold(fields)
    read: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for name, reader in _READERS.items():
        try:
            read[name] = reader(given.get(name))
        except _Fault as fault:
            faults[name] = str(fault)
    faults = faults or _find_faults(read, now) or _find_push_faults(read, push_hosts)
    if faults:
        raise DeviceRefusedError(faults)
    return Device(
        token=read["token"],
        user_id=read["userId"],
        kind=read["kind"],
        platform=read["platform"],
        keys=read["keys"],
        timezone=read["timezone"],
        app_version=read["appVersion"],
        last_seen_at=read["lastSeenAt"],
    )


def _unfold(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    subscription = fields.get("subscription")
    if not isinstance(subscription, Mapping):
        return fields
    unfolded = {"token": subscription.get("endpoint"), "keys": subscription.get("keys")}
    return {"kind": DeviceKind.WEBPUSH, **fields, **unfolded}


def _find_faults(read: Mapping[str, Any], now: datetime) -> dict[str, str]:
    """Return what is wrong with fields that are good each for itself."""
    if read["lastSeenAt"] and read["lastSeenAt"] > now + SKEW:
        return {"lastSeenAt": "lies in the future."}
    schemes = _SCHEMES.get(read["kind"])
    fault = find_url_fault(read["token"], schemes) if schemes else None
    return {"token": f"{fault}."} if fault else {}


_SCHEMES: Final[Mapping[str, tuple[str, ...]]] = {
    DeviceKind.WEBPUSH: ("https",),
    DeviceKind.WEBHOOK: ("https", "http"),
}


def _find_push_faults(read: Mapping[str, Any], push_hosts: Sequence[str] | None) -> dict[str, str]:
    """Return what is wrong with a web push subscription whose endpoint is a URL."""
    if read["kind"] != DeviceKind.WEBPUSH:
        return {}
    fault = None if push_hosts is None else find_push_host_fault(read["token"], push_hosts)
    return {"token": f"{fault}."} if fault else _find_key_faults(read["keys"])


def _find_key_faults(keys: str | None) -> dict[str, str]:
    if keys is None:
        return {"keys": "A web push subscription has p256dh and auth."}
    try:
        read_keys(keys)
    except BadKeyError as error:
        return {"keys": f"{error}."}
    return {}


def _read_token(value: object) -> str:
    if not value:
        raise _Fault("Missing data for required field.")
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise _Fault(f"Up to {MAX_TOKEN} printable ASCII characters without a space.")
    return value


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
    if isinstance(value, str) and value in _zones():
        return value
    raise _Fault(f"{str(value)[:50]!r} is no time zone; use a name such as Europe/Berlin.")


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _read_instant(value: object) -> datetime | None:
    if value in _NOTHING:
        return None
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        instant = None
    if instant is None or not is_near(instant):
        raise _Fault(f"{str(value)[:40]!r} is no instant (ISO 8601).")
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


_READERS: Final[Mapping[str, Callable[[object], object]]] = {
    "token": _read_token,
    "userId": _read_user_id,
    "kind": _read_kind,
    "platform": _read_short,
    "keys": _read_keys,
    "timezone": _read_timezone,
    "appVersion": _read_short,
    "lastSeenAt": _read_instant,
}
