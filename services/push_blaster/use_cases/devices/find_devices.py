"""Find the devices of users: in their row, in an external source, or in our registry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from chassis.postgres import Database
from push_blaster.adapters.devices.device_source import DeviceSource
from push_blaster.adapters.devices.device_table import MAX_DEVICES, select_addresses, select_deaths
from push_blaster.domain.audiences.audience import (
    KEYS_COLUMN,
    KIND_COLUMN,
    TOKEN_COLUMN,
    AudienceRow,
)
from push_blaster.domain.devices.device import Address, DeviceKind


@dataclass(frozen=True, slots=True)
class UserAddresses:
    """The addresses of users, the newest first; and the unknown users, with the reason."""

    devices: Mapping[UUID, Sequence[Address]]
    unknown: Mapping[UUID, str] = field(default_factory=dict)


class _Candidate(NamedTuple):
    """A device of a row or a source, and when it was last seen, if that is known."""

    address: Address
    seen_at: datetime | None = None


def find_devices(
    database: Database,
    source: DeviceSource | None,
    rows: Sequence[AudienceRow],
    now: datetime,
    *,
    every: bool,
) -> UserAddresses:
    """Return the addresses of the users of `rows`: the device seen last, or every device.

    Dead devices are left out until they are seen again. A user without a device in the row or the
    source is looked up in the registry.
    """
    known = {
        row.user_id: [_Candidate(_read_address(token, row.variables))]
        for row in rows
        if (token := row.variables.get(TOKEN_COLUMN, "").strip())
    }
    unknown: Mapping[UUID, str] = {}
    if source:
        asked = [row.user_id for row in rows if row.user_id not in known]
        found = source.find(asked, now)
        unknown = found.unknown
        known |= {
            user_id: [_Candidate(d.address, d.last_seen_at) for d in own]
            for user_id, own in found.devices.items()
        }
    devices = _leave_out_dead(database, known) if known else {}
    if len(devices) == len(rows) and not source:
        return UserAddresses(devices)
    others = [r.user_id for r in rows if r.user_id not in devices and r.user_id not in unknown]
    with database.transaction() as connection:
        registered = select_addresses(connection, others, every=every) if others else {}
    limit = MAX_DEVICES if every else 1
    return UserAddresses({**registered, **{u: own[:limit] for u, own in devices.items()}}, unknown)


def _read_address(token: str, variables: Mapping[str, str]) -> Address:
    kind = variables.get(KIND_COLUMN) or DeviceKind.FCM
    return Address(token, kind, variables.get(KEYS_COLUMN, ""))


def _leave_out_dead(
    database: Database, known: Mapping[UUID, Sequence[_Candidate]]
) -> dict[UUID, list[Address]]:
    tokens = [candidate.address.token for own in known.values() for candidate in own]
    with database.transaction() as connection:
        deaths = select_deaths(connection, tokens)

    if not deaths:
        return {user_id: [c.address for c in own] for user_id, own in known.items() if own}

    def lives(candidate: _Candidate) -> bool:
        died_at = deaths.get(candidate.address.token)
        return not died_at or bool(candidate.seen_at and candidate.seen_at >= died_at)

    living = {u: [c.address for c in own if lives(c)] for u, own in known.items()}
    return {user_id: own for user_id, own in living.items() if own}
