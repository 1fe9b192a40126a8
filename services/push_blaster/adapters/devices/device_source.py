"""An external service that knows the devices of users, asked by REST or by GraphQL."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
import requests
import structlog
import urllib3

from push_blaster.adapters.devices.device_fields import Device, DeviceRefusedError, read_device
from push_blaster.domain.error_words import explain_error, spell_name

log = structlog.get_logger()

#: How long to wait before the second try.
PAUSE_S: Final = 0.2
#: The largest answer that is read, unpacked, in bytes; and how much of it is read at once.
MAX_ANSWER: Final = 16 * 1024 * 1024
PIECE: Final = 65_536
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
#: The names of a device's fields, unless the settings give others.
FIELDS: Final[Mapping[str, str]] = {
    name: name for name in ("userId", "token", "kind", "platform", "keys", "timezone", "appVersion")
} | {"lastSeenAt": "updatedAt"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """The address of the source, how to ask it, and the place of the devices in its answer.

    Shape: `headers` hold the secret. `query` is GraphQL with `$ids`; None asks by REST. `list_path`
    leads to the list of devices; `fields` say for each of our names the path within a device. A
    path consists of names and places in lists, separated by full stops: `data.users`, `tokens.0`.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: str | None = None
    list_path: str = "devices"
    fields: Mapping[str, str] = field(default_factory=lambda: FIELDS)
    batch_size: int = 100
    timeout: timedelta = timedelta(seconds=10)


@dataclass(slots=True)
class FoundDevices:
    """The devices of each user who has one; and the users who are unknown, with the reason."""

    devices: dict[UUID, list[Device]] = field(default_factory=dict)
    unknown: dict[UUID, str] = field(default_factory=dict)


class _Failure(Exception):  # noqa: N818 - it never leaves this module
    def __init__(self, message: str, *, may_pass: bool) -> None:
        super().__init__(message)
        self.may_pass = may_pass


class DeviceSource:
    """Asks the source, with one session for each thread."""

    def __init__(self, options: SourceOptions) -> None:
        """Take the options of the source."""
        self._options = options
        self._local = threading.local()

    def find(self, user_ids: Sequence[UUID], now: datetime) -> FoundDevices:
        """Return the users' devices; the users of a failed request are unknown."""
        found = FoundDevices()
        for start in range(0, len(user_ids), self._options.batch_size):
            page = user_ids[start : start + self._options.batch_size]
            try:
                self._read_devices(self._ask(page), set(page), now, found)
            except _Failure as failure:
                found.unknown |= dict.fromkeys(page, f"the device source {failure}")
            except Exception as error:
                log.exception("device_source_not_understood")
                reason = (
                    f"the answer of the device source was not understood: {explain_error(error)}"
                )
                found.unknown |= dict.fromkeys(page, reason[:200])
        return found

    def _ask(self, user_ids: Sequence[UUID]) -> list[Any]:
        """Return the list that the source answers; a temporary failure is tried again once."""
        try:
            return self._ask_once(user_ids)
        except _Failure as failure:
            if not failure.may_pass:
                raise
        time.sleep(PAUSE_S)
        return self._ask_once(user_ids)

    def _ask_once(self, user_ids: Sequence[UUID]) -> list[Any]:
        return self._find_list(self._request([str(user_id) for user_id in user_ids]))

    def _request(self, ids: list[str]) -> Any:
        options = self._options
        body = {"query": options.query, "variables": {"ids": ids}} if options.query else None
        try:
            with self._session().post(
                options.url,
                data=orjson.dumps(body or {"userIds": ids}),
                headers={"Content-Type": "application/json", **options.headers},
                timeout=options.timeout.total_seconds(),
                allow_redirects=False,
                stream=True,
            ) as response:
                status = response.status_code
                content = _read_body(response, options.timeout) if status == 200 else b""
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise _Failure(f"gave no answer ({spell_name(error)})", may_pass=True) from error
        if status != 200:
            may_pass = status == 429 or status >= 500
            raise _Failure(f"answered {status}", may_pass=may_pass)
        try:
            return orjson.loads(content)
        except ValueError as error:
            raise _Failure("answered no JSON", may_pass=True) from error

    def _find_list(self, answer: Any) -> list[Any]:
        if isinstance(answer, dict) and answer.get("errors"):
            raise _Failure(f"answered with errors: {str(answer['errors'])[:200]}", may_pass=True)
        path = self._options.list_path
        found = _follow(answer, path)
        if not isinstance(found, list):
            raise _Failure(f"answered without a list under {path!r}", may_pass=False)
        return found

    def _read_devices(
        self, items: list[Any], asked: set[UUID], now: datetime, found: FoundDevices
    ) -> None:
        """Add the devices of the users who were asked for, the device seen last first."""
        devices: dict[UUID, list[Device]] = {}
        unknown: dict[UUID, str] = {}
        for fields in self._rename(items):
            user_id = _user_of(fields)
            if user_id is None:
                # The device may be of anybody who has no other one.
                reason = f"the device source answered {str(fields['userId'])[:50]!r} for a user id"
                unknown = dict.fromkeys(asked, reason) | unknown
            elif user_id in asked and fields["token"]:
                _read_one(fields, user_id, now, devices, unknown)
        for own in devices.values():
            own.sort(key=lambda device: device.last_seen_at or _NEVER, reverse=True)
        found.devices |= devices
        found.unknown |= {user: why for user, why in unknown.items() if user not in devices}

    def _rename(self, items: list[Any]) -> Iterator[Mapping[str, Any]]:
        paths = self._options.fields.items()
        return ({name: _follow(item, path) for name, path in paths} for item in items)

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
        session: requests.Session = self._local.session
        return session


def _read_body(response: requests.Response, limit: timedelta) -> bytes:
    """Return the unpacked body; requests itself limits neither its size nor its whole time."""
    give_up_at = time.monotonic() + limit.total_seconds()
    content = bytearray()
    while piece := response.raw.read1(PIECE, decode_content=True):
        content += piece
        if len(content) > MAX_ANSWER:
            raise _Failure(f"answered more than {MAX_ANSWER:,} bytes", may_pass=False)
        if time.monotonic() > give_up_at:
            raise _Failure("did not end its answer in time", may_pass=True)
    response.raw.release_conn()  # the next request uses the same connection
    return bytes(content)


def _read_one(
    fields: Mapping[str, Any],
    user_id: UUID,
    now: datetime,
    devices: dict[UUID, list[Device]],
    unknown: dict[UUID, str],
) -> None:
    """Add a device to `devices`, or why it is bad to `unknown`."""
    try:
        device = read_device(fields, now)
    except DeviceRefusedError as refused:
        unknown[user_id] = f"the device source answered a bad device: {refused}"
    else:
        devices.setdefault(user_id, []).append(device)


def _user_of(fields: Mapping[str, Any]) -> UUID | None:
    try:
        return UUID(fields["userId"])
    except (ValueError, TypeError, AttributeError):
        return None


def _follow(value: Any, path: str) -> Any:
    """Return the value at the end of `path`, or None."""
    for step in path.split("."):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit():
            value = value[int(step)] if int(step) < len(value) else None
        else:
            return None
    return value
