"""Register, change and remove the named devices that automations choose for their tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from chassis.postgres import Database
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.devices.device_fields import DeviceRefusedError, read_device
from push_blaster.adapters.devices.named_devices import (
    NamedDevice,
    delete_named_device,
    find_name_owner,
    lock_named_devices,
    revive_token,
    select_named_devices,
    upsert_named_device,
)
from push_blaster.domain.automations.automation import Automation

MAX_NAME: Final = 100


class TestDeviceNotFoundError(Exception):
    """There is no test device of that id."""


class NameTakenError(Exception):
    """Another test device has the name."""


@dataclass(frozen=True, slots=True)
class TestDevices:
    """The test devices; the subscriptions of browsers among them lead to `push_hosts`.

    What describes a device has the names of the wire: `name`, and the fields of a device, of which
    `userId` may be missing.
    """

    database: Database
    push_hosts: Sequence[str]

    def find(self, device_id: UUID) -> NamedDevice:
        """Return the test device of an id; TestDeviceNotFoundError."""
        with self.database.transaction() as connection:
            found = select_named_devices(connection, [device_id])
        if not found:
            raise TestDeviceNotFoundError("There is no such test device; it may be removed.")
        return found[0]

    def register(
        self, device_id: UUID, given: Mapping[str, Any], by: str, now: datetime
    ) -> NamedDevice:
        """Register a device under a name; the same id registers it once.

        Raises: DeviceRefusedError, NameTakenError.
        """
        with self.database.transaction() as connection:
            known = select_named_devices(connection, [device_id])
        return known[0] if known else self._write(device_id, given, by, now, has_new_token=True)

    def change(self, device_id: UUID, given: Mapping[str, Any], now: datetime) -> NamedDevice:
        """Change a test device; without a new token, its token, kind and keys stay.

        Raises: TestDeviceNotFoundError, DeviceRefusedError, NameTakenError.
        """
        old = self.find(device_id)
        has_new_token = bool(given.get("token"))
        kept = {} if has_new_token else _write_address(old)
        kind = given.get("kind") or old.kind
        merged = {**given, "kind": kind, **kept}
        return self._write(device_id, merged, old.created_by, now, has_new_token=has_new_token)

    def remove(self, device_id: UUID) -> bool:
        """Remove a test device; return whether there was one. Safe to repeat."""
        with self.database.transaction() as connection:
            return delete_named_device(connection, device_id) == 1

    def _write(
        self,
        device_id: UUID,
        given: Mapping[str, Any],
        by: str,
        now: datetime,
        *,
        has_new_token: bool,
    ) -> NamedDevice:
        device = _read_named(device_id, given, self.push_hosts, by, now)
        with self.database.transaction() as connection:
            lock_named_devices(connection)
            if find_name_owner(connection, device.name) not in {None, device_id}:
                text = f"Another test device is called {device.name!r}; choose another name."
                raise NameTakenError(text)
            upsert_named_device(connection, device)
            if has_new_token:
                revive_token(connection, device.token)
            return select_named_devices(connection, [device_id])[0]


def find_users_of(files: AutomationFiles, device_id: UUID) -> list[Automation]:
    """Return the automations that name the test device, by name."""
    stored = [one.automation for one in files.read_all().values()]
    found = [a for a in stored if str(device_id) in a.settings.test_device_ids]
    return sorted(found, key=lambda automation: automation.name.casefold())


def _write_address(device: NamedDevice) -> Mapping[str, Any]:
    """Return token, kind and keys of a device as clients write them."""
    p256dh, _, auth = (device.keys or "").partition(".")
    keys = {"p256dh": p256dh, "auth": auth} if device.keys else None
    return {"token": device.token, "kind": device.kind, "keys": keys}


def _read_named(
    device_id: UUID, given: Mapping[str, Any], push_hosts: Sequence[str], by: str, now: datetime
) -> NamedDevice:
    """Return the test device that `given` describes; DeviceRefusedError names each fault."""
    name = " ".join(str(given.get("name") or "").split())
    fault = f"Give the device a name of 1 to {MAX_NAME} characters."
    faults = {} if 1 <= len(name) <= MAX_NAME else {"name": fault}
    # The reader asks for a user; the id of the device stands for nobody else.
    owned = {**given, "userId": given.get("userId") or str(device_id)}
    try:
        read = read_device(owned, now, push_hosts)
    except DeviceRefusedError as refused:
        raise DeviceRefusedError({**faults, **refused.faults}) from refused
    if faults:
        raise DeviceRefusedError(faults)
    return NamedDevice(
        id=device_id,
        name=name,
        token=read.token,
        kind=read.kind,
        keys=read.keys,
        platform=read.platform,
        user_id=None if read.user_id == device_id else read.user_id,
        created_at=now,
        created_by=by,
    )
