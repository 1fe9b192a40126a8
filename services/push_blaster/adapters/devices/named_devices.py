"""The table `test_devices`: devices with a name, which automations choose for their tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_value
from push_blaster.domain.devices.device import Address, hide_token


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedDevice:
    """A device with a name: its address, whose it is, and since when its provider calls it dead.

    Shape: `id` stands for a user in the ledger, so that a test of the device is nobody's push.
    """

    id: UUID
    name: str
    token: str
    kind: str
    keys: str | None
    platform: str | None
    user_id: UUID | None
    created_at: datetime
    created_by: str
    dead_at: datetime | None = None
    dead_reason: str | None = None

    @property
    def address(self) -> Address:
        """The address that a message to the device needs."""
        return Address(self.token, self.kind, self.keys or "")

    @property
    def masked_token(self) -> str:
        """The part of the token that may be shown: its last four characters, or a URL's host."""
        hidden = hide_token(self.token)
        is_long = len(self.token) >= 12 and "://" not in self.token
        return f"{hidden}{self.token[-4:]}" if is_long else hidden


def select_named_devices(
    connection: Connection, ids: Sequence[UUID] | None = None
) -> list[NamedDevice]:
    """Return the test devices, or those with these ids, by name."""
    sql = """
        SELECT t.*, d.dead_at, d.dead_reason
          FROM test_devices t
          LEFT JOIN devices d ON d.token = t.token
         WHERE %(ids)s::uuid[] IS NULL OR t.id = ANY(%(ids)s::uuid[])
         ORDER BY lower(t.name)
    """
    values = {"ids": None if ids is None else list(ids)}
    return fetch_all(connection, sql, values, make=NamedDevice, by_name=True)


def lock_named_devices(connection: Connection) -> None:
    """Let one transaction at a time decide about names."""
    execute(connection, "LOCK TABLE test_devices IN SHARE ROW EXCLUSIVE MODE")


def find_name_owner(connection: Connection, name: str) -> UUID | None:
    """Return the id of the test device with this name, however it is written."""
    sql = "SELECT id FROM test_devices WHERE lower(name) = lower(%s)"
    owner: UUID | None = fetch_value(connection, sql, (name,))
    return owner


def upsert_named_device(connection: Connection, device: NamedDevice) -> None:
    """Write a test device; a device whose token is written again lives, as far as we know."""
    sql = """
        INSERT INTO test_devices AS t (id, name, token, kind, keys, platform, user_id, created_at,
                                       created_by)
        VALUES (%(id)s, %(name)s, %(token)s, %(kind)s, %(keys)s, %(platform)s, %(user_id)s,
                %(created_at)s, %(created_by)s)
            ON CONFLICT (id) DO UPDATE
           SET name = EXCLUDED.name, token = EXCLUDED.token, kind = EXCLUDED.kind,
               keys = EXCLUDED.keys, platform = EXCLUDED.platform, user_id = EXCLUDED.user_id
    """
    columns = ("id", "name", "token", "kind", "keys", "platform", "user_id")
    values = {name: getattr(device, name) for name in (*columns, "created_at", "created_by")}
    execute(connection, sql, values)


def revive_token(connection: Connection, token: str) -> None:
    """Take a token for a living one, until its provider calls it dead again."""
    sql = "UPDATE devices SET dead_at = NULL, dead_reason = NULL WHERE token = %s"
    execute(connection, sql, (token,))


def delete_named_device(connection: Connection, device_id: UUID) -> int:
    """Delete a test device, and the record that its token is dead; return how many there were."""
    execute(connection, "DELETE FROM devices WHERE user_id = %s", (device_id,))
    return execute(connection, "DELETE FROM test_devices WHERE id = %s", (device_id,))
