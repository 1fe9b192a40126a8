"""The tables of reservations: the key, the push, the state, and the parts that are decided."""

import hashlib
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from chassis.commands.weekly_table import EPOCH
from chassis.postgres import BulkConnection
from chassis.rows import execute, fetch_one, fetch_value


class ReservationState(StrEnum):
    """The state of a reservation."""

    RESERVED = "reserved"
    CONFIRMED = "confirmed"
    RELEASED = "released"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A reservation: its key, its push, and the instant until which its slots stay reserved."""

    id: int
    key: str
    layer_id: int
    scheduled_for: datetime
    rule_set: int
    state: ReservationState
    expires_at: datetime
    created_at: datetime
    body_digest: bytes

    @property
    def claim(self) -> bytes:
        """The key that lets the database record a send without a slot only once for each user."""
        return hashlib.sha256(f"reservation {self.id}".encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReservation:
    """A reservation to open.

    Shape: `body_digest` distinguishes questions that use the same key.
    """

    key: str
    layer_id: int
    scheduled_for: datetime
    rule_set: int
    ttl: timedelta
    body_digest: bytes


_COLUMNS: Final = """
    id, key, layer_id, scheduled_for, rule_set,
    CASE WHEN state = 'reserved' AND expires_at <= clock_timestamp() THEN 'expired' ELSE state END
      AS state,
    expires_at, created_at, body_digest
"""


def open_reservation(connection: BulkConnection, new: NewReservation) -> Reservation:
    """Return the reservation of this key: the existing one, or a new one.

    An expired reservation begins anew, with nothing decided.
    """
    sql = f"""
        INSERT INTO reservations AS r
               (key, layer_id, scheduled_for, rule_set, state, expires_at, body_digest)
        VALUES (%(key)s, %(layer_id)s, %(scheduled_for)s, %(rule_set)s, 'reserved',
                clock_timestamp() + %(ttl)s, %(body_digest)s)
            ON CONFLICT (key) DO UPDATE
           SET key = r.key
        RETURNING {_COLUMNS}
    """  # noqa: S608 - a constant list of columns
    found = fetch_one(connection, sql, asdict(new), make=_make_reservation, by_name=True)
    if found is None:
        raise RuntimeError(f"PostgreSQL returned no row for the reservation {new.key!r}.")
    if found.state is ReservationState.EXPIRED and found.body_digest == new.body_digest:
        # It gets a new id, so that a process that still decides the old reservation cannot write
        # into it.
        forget_decisions(connection, found.id)
        execute(connection, "DELETE FROM reservations WHERE id = %(id)s", {"id": found.id})
        return open_reservation(connection, new)
    return found


def forget_decisions(connection: BulkConnection, reservation_id: int) -> None:
    """Delete the slots of a reservation, and everything that was decided for it."""
    for table in ("held_slots", "reservation_parts", "reservation_exclusions"):
        sql = f"DELETE FROM {table} WHERE reservation_id = %(id)s"  # noqa: S608 - our tables
        execute(connection, sql, {"id": reservation_id})


def holds_slots(connection: BulkConnection, reservation_id: int) -> bool:
    """Return whether the reservation has slots; if so, it keeps them until the transaction ends.

    Nobody can settle, release or sweep the reservation meanwhile.
    """
    running = """
        SELECT state = 'reserved' AND expires_at > clock_timestamp()
          FROM reservations WHERE id = %(id)s FOR SHARE
    """
    return bool(fetch_value(connection, running, {"id": reservation_id}))


def lock_reservation(connection: BulkConnection, key: str) -> Reservation | None:
    """Return the reservation of this key, or None; nobody else can change it meanwhile."""
    sql = f"SELECT {_COLUMNS} FROM reservations WHERE key = %(key)s FOR UPDATE"  # noqa: S608
    return fetch_one(connection, sql, {"key": key}, make=_make_reservation, by_name=True)


def select_reservation(connection: BulkConnection, key: str) -> Reservation | None:
    """Return the reservation of this key, or None."""
    sql = f"SELECT {_COLUMNS} FROM reservations WHERE key = %(key)s"  # noqa: S608 - constants
    return fetch_one(connection, sql, {"key": key}, make=_make_reservation, by_name=True)


def is_decided(connection: BulkConnection, reservation_id: int, part: int) -> bool:
    """Return whether this part of the audience was decided before."""
    decided = "SELECT 1 FROM reservation_parts WHERE reservation_id = %(id)s AND part = %(part)s"
    return fetch_value(connection, decided, {"id": reservation_id, "part": part}) is not None


def insert_part(connection: BulkConnection, reservation_id: int, part: int, eligible: int) -> None:
    """Record that a part of the audience was decided, and how many of its users were eligible."""
    sql = "INSERT INTO reservation_parts VALUES (%s, %s, %s)"
    execute(connection, sql, (reservation_id, part, eligible))


def count_eligible(connection: BulkConnection, reservation_id: int) -> int | None:
    """Return how many users were eligible; None if nothing was decided, or nothing is known now."""
    sql = "SELECT sum(eligible)::int FROM reservation_parts WHERE reservation_id = %(id)s"
    eligible: int | None = fetch_value(connection, sql, {"id": reservation_id})
    return eligible


def end_reservation(
    connection: BulkConnection, reservation_id: int, state: ReservationState
) -> None:
    """Record that the reservation holds no slot any more; a settled reservation stays settled."""
    sql = (
        "UPDATE reservations SET state = %(state)s, expires_at = least(expires_at, now())"
        " WHERE id = %(id)s AND state IN ('reserved', 'expired')"
    )
    execute(connection, sql, {"id": reservation_id, "state": state})


def update_expiry(connection: BulkConnection, key: str, ttl: timedelta) -> Reservation | None:
    """Keep the slots for `ttl` from now on; None if the reservation holds no slots any more."""
    sql = f"""
        UPDATE reservations
           SET expires_at = greatest(expires_at, clock_timestamp() + %(ttl)s)
         WHERE key = %(key)s AND state = 'reserved' AND expires_at > clock_timestamp()
        RETURNING {_COLUMNS}
    """  # noqa: S608 - a constant list of columns
    return fetch_one(
        connection, sql, {"key": key, "ttl": ttl}, make=_make_reservation, by_name=True
    )


def end_expired(connection: BulkConnection) -> None:
    """Record which reservations ran out; they do not count any more from that instant on.

    Their slots stay, because they say who was eligible, until the reservation is settled or pruned.
    """
    sql = """
        UPDATE reservations SET state = 'expired'
         WHERE id IN (SELECT id FROM reservations
                       WHERE state = 'reserved' AND expires_at <= clock_timestamp()
                         FOR UPDATE SKIP LOCKED)
    """
    execute(connection, sql)


def find_end_of_reserved(connection: BulkConnection) -> datetime:
    """Return an instant after which no running reservation holds a slot."""
    sql = """
        SELECT max(scheduled_for) FROM reservations
         WHERE state = 'reserved' AND expires_at > clock_timestamp()
    """
    last = fetch_value(connection, sql)
    return last + timedelta(microseconds=1) if last else EPOCH


def _make_reservation(*, state: str, body_digest: bytes, **columns: Any) -> Reservation:
    return Reservation(state=ReservationState(state), body_digest=bytes(body_digest), **columns)
