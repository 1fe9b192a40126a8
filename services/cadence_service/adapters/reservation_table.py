"""The tables of reservations: who asked for slots, under which key, and how far it was decided."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from cadence_service.adapters.partitions import EPOCH
from chassis.postgres import BulkConnection


class ReservationState(StrEnum):
    """Where a reservation stands."""

    RESERVED = "reserved"
    CONFIRMED = "confirmed"
    RELEASED = "released"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A reservation: under which key, for which push, and until when its slots are held."""

    id: int
    key: str
    layer_id: int
    scheduled_for: datetime
    rule_set: int
    state: ReservationState
    expires_at: datetime
    created_at: datetime
    body_digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReservation:
    """What a reservation is asked for with.

    Shape: `body_digest` tells the same question from another one under the same key.
    """

    key: str
    layer_id: int
    scheduled_for: datetime
    rule_set: int
    ttl: timedelta
    body_digest: bytes


_COLUMNS: Final = """
    id, key, layer_id, scheduled_for, rule_set,
    CASE WHEN state = 'reserved' AND expires_at <= clock_timestamp() THEN 'expired' ELSE state END,
    expires_at, created_at, body_digest
"""


def open_reservation(connection: BulkConnection, new: NewReservation) -> Reservation:
    """Return the reservation of this key: the one that there is, or a new one.

    One that has expired begins anew, with nothing decided.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO reservations AS r
                   (key, layer_id, scheduled_for, rule_set, state, expires_at, body_digest)
            VALUES (%(key)s, %(layer_id)s, %(scheduled_for)s, %(rule_set)s, 'reserved',
                    clock_timestamp() + %(ttl)s, %(digest)s)
                ON CONFLICT (key) DO UPDATE
               SET key = r.key
            RETURNING {_COLUMNS}
            """,  # noqa: S608 - a constant list of columns
            {
                "key": new.key,
                "layer_id": new.layer_id,
                "scheduled_for": new.scheduled_for,
                "rule_set": new.rule_set,
                "ttl": new.ttl,
                "digest": new.body_digest,
            },
        )
        found = _read(cursor.fetchone())
    if found.state is ReservationState.EXPIRED and found.body_digest == new.body_digest:
        return _begin_anew(connection, found, new)
    return found


def _begin_anew(connection: BulkConnection, old: Reservation, new: NewReservation) -> Reservation:
    with connection.cursor() as cursor:
        for table in ("held_slots", "reservation_parts", "reservation_exclusions"):
            cursor.execute(
                f"DELETE FROM {table} WHERE reservation_id = %(id)s",  # noqa: S608 - our tables
                {"id": old.id},
            )
        cursor.execute(
            f"""
            UPDATE reservations
               SET state = 'reserved', rule_set = %(rule_set)s,
                   expires_at = clock_timestamp() + %(ttl)s
             WHERE id = %(id)s
            RETURNING {_COLUMNS}
            """,  # noqa: S608 - a constant list of columns
            {"id": old.id, "rule_set": new.rule_set, "ttl": new.ttl},
        )
        return _read(cursor.fetchone())


def select_reservation(connection: BulkConnection, key: str) -> Reservation | None:
    """Return the reservation of this key, or None."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_COLUMNS} FROM reservations WHERE key = %(key)s",  # noqa: S608 - constants
            {"key": key},
        )
        row = cursor.fetchone()
    return _read(row) if row else None


def is_decided(connection: BulkConnection, reservation_id: int, part: int) -> bool:
    """Return whether this part of the audience was decided before."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM reservation_parts WHERE reservation_id = %(id)s AND part = %(part)s",
            {"id": reservation_id, "part": part},
        )
        return cursor.fetchone() is not None


def insert_part(connection: BulkConnection, reservation_id: int, part: int, eligible: int) -> None:
    """Remember that a part of the audience was decided, and how many of it were eligible."""
    connection.execute(
        "INSERT INTO reservation_parts VALUES (%s, %s, %s)", (reservation_id, part, eligible)
    )


def count_eligible(connection: BulkConnection, reservation_id: int) -> int:
    """Return how many users were found eligible."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(eligible), 0) FROM reservation_parts"
            " WHERE reservation_id = %(id)s",
            {"id": reservation_id},
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def end_reservation(
    connection: BulkConnection, reservation_id: int, state: ReservationState
) -> None:
    """Say that the reservation holds nothing any more."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE reservations SET state = %(state)s WHERE id = %(id)s AND state = 'reserved'",
            {"id": reservation_id, "state": state},
        )


def extend_reservation(connection: BulkConnection, key: str, ttl: timedelta) -> Reservation | None:
    """Hold the slots for `ttl` from now on; None if the reservation holds none any more."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE reservations
               SET expires_at = greatest(expires_at, clock_timestamp() + %(ttl)s)
             WHERE key = %(key)s AND state = 'reserved' AND expires_at > clock_timestamp()
            RETURNING {_COLUMNS}
            """,  # noqa: S608 - a constant list of columns
            {"key": key, "ttl": ttl},
        )
        row = cursor.fetchone()
    return _read(row) if row else None


def end_expired(connection: BulkConnection, limit: int = 20) -> list[int]:
    """End reservations that ran out, and return their ids; they had ceased to count before."""
    ended = connection.execute(
        """
        UPDATE reservations SET state = 'expired'
         WHERE id IN (SELECT id FROM reservations
                       WHERE state = 'reserved' AND expires_at <= clock_timestamp()
                       ORDER BY expires_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
        RETURNING id
        """,
        {"limit": limit},
    ).fetchall()
    return [reservation_id for (reservation_id,) in ended]


def _read(row: Any) -> Reservation:
    return Reservation(
        id=row[0],
        key=row[1],
        layer_id=row[2],
        scheduled_for=row[3],
        rule_set=row[4],
        state=ReservationState(row[5]),
        expires_at=row[6],
        created_at=row[7],
        body_digest=bytes(row[8]),
    )


def find_end_of_holds(connection: BulkConnection) -> datetime:
    """Return an instant after which no running reservation holds a slot."""
    row = connection.execute(
        """
        SELECT max(scheduled_for) FROM reservations
         WHERE state = 'reserved' AND expires_at > clock_timestamp()
        """
    ).fetchone()
    return row[0] + timedelta(microseconds=1) if row and row[0] else EPOCH
