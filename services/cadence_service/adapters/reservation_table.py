"""The tables of reservations: slots of users' caps, taken before the send."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from psycopg2.extras import execute_values

from chassis.postgres import Connection

#: Advisory locks of this number space keep two reservations from judging one user at a time.
LOCK_SPACE: Final = 77


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

    @property
    def holds(self) -> bool:
        """Whether nothing has ended it; it may have run out all the same."""
        return self.state is ReservationState.RESERVED


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


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Why a user was held back: the rule, the sends that used up its cap, and until when."""

    user_id: UUID
    rule: str
    counted_sends: tuple[datetime, ...]
    next_eligible_at: datetime


_COLUMNS: Final = """
    id, key, layer_id, scheduled_for, rule_set,
    CASE WHEN state = 'reserved' AND expires_at <= clock_timestamp() THEN 'expired' ELSE state END,
    expires_at, created_at, body_digest
"""


def open_reservation(connection: Connection, new: NewReservation) -> Reservation:
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


def _begin_anew(connection: Connection, old: Reservation, new: NewReservation) -> Reservation:
    forget_reserved(connection, old.id)
    with connection.cursor() as cursor:
        for table in ("reservation_parts", "reservation_exclusions"):
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


def select_reservation(connection: Connection, key: str) -> Reservation | None:
    """Return the reservation of this key, or None."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_COLUMNS} FROM reservations WHERE key = %(key)s",  # noqa: S608 - constants
            {"key": key},
        )
        row = cursor.fetchone()
    return _read(row) if row else None


def lock_users(connection: Connection, buckets: Sequence[int]) -> None:
    """Let nobody else judge users of these buckets until the transaction ends.

    This must be a statement of its own: the next one then sees all that earlier holders wrote.
    Shape: in ascending order, as everybody takes them, so that nobody waits in a circle.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%(space)s, b) FROM unnest(%(buckets)s) b",
            {"space": LOCK_SPACE, "buckets": list(buckets)},
        )


def is_decided(connection: Connection, reservation_id: int, part: int) -> bool:
    """Return whether this part of the audience was decided before."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM reservation_parts WHERE reservation_id = %(id)s AND part = %(part)s",
            {"id": reservation_id, "part": part},
        )
        return cursor.fetchone() is not None


def insert_decision(
    connection: Connection,
    reservation: Reservation,
    part: int,
    eligible: Sequence[str],
    exclusions: Iterable[Exclusion],
) -> None:
    """Take a slot of each eligible user, and remember why the others get none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO reservation_parts VALUES (%(id)s, %(part)s, %(eligible)s)",
            {"id": reservation.id, "part": part, "eligible": len(eligible)},
        )
        cursor.execute(
            """
            INSERT INTO user_notifications (user_id, sent_at, layer_id, state, rule_set,
                                            reservation_id)
            SELECT u, %(sent_at)s, %(layer_id)s, 0, %(rule_set)s, %(id)s
              FROM unnest(%(users)s::uuid[]) u
            """,
            {
                "sent_at": reservation.scheduled_for,
                "layer_id": reservation.layer_id,
                "rule_set": reservation.rule_set,
                "id": reservation.id,
                "users": "{" + ",".join(sorted(eligible)) + "}",
            },
        )
        execute_values(
            cursor,
            """
            INSERT INTO reservation_exclusions (reservation_id, part, user_id, rule,
                                                counted_sends, next_eligible_at)
            VALUES %s
            """,
            [
                (reservation.id, part, e.user_id, e.rule, list(e.counted_sends), e.next_eligible_at)
                for e in exclusions
            ],
            template="(%s, %s, %s, %s, %s::timestamptz[], %s)",
            page_size=1_000,
        )


def select_exclusions(
    connection: Connection, reservation_id: int, part: int | None = None
) -> list[Exclusion]:
    """Return who was held back, of one part or of all, by user."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT user_id, rule, counted_sends, next_eligible_at FROM reservation_exclusions
             WHERE reservation_id = %(id)s AND (%(part)s::int IS NULL OR part = %(part)s::int)
             ORDER BY user_id
            """,
            {"id": reservation_id, "part": part},
        )
        return [Exclusion(row[0], row[1], tuple(row[2]), row[3]) for row in cursor]


def count_eligible(connection: Connection, reservation_id: int) -> int:
    """Return how many users were found eligible."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(eligible), 0) FROM reservation_parts"
            " WHERE reservation_id = %(id)s",
            {"id": reservation_id},
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def confirm_reserved(
    connection: Connection,
    reservation: Reservation,
    sends: Sequence[tuple[UUID, int, datetime]],
) -> set[UUID]:
    """Turn the slots of users into sends; return who still had one.

    Shape: `sends` are (user, message id, the instant at which it was really sent).
    """
    with connection.cursor() as cursor:
        confirmed = execute_values(
            cursor,
            cursor.mogrify(
                """
                UPDATE user_notifications n
                   SET state = 1, message_id = v.message_id, actually_sent_at = v.at
                  FROM (VALUES %%s) AS v (user_id, message_id, at)
                 WHERE n.user_id = v.user_id AND n.sent_at = %(sent_at)s
                   AND n.layer_id = %(layer_id)s AND n.reservation_id = %(id)s AND n.state = 0
                RETURNING n.user_id
                """,
                {
                    "sent_at": reservation.scheduled_for,
                    "layer_id": reservation.layer_id,
                    "id": reservation.id,
                },
            ),
            sends,
            template="(%s::uuid, %s, %s::timestamptz)",
            page_size=2_000,
            fetch=True,
        )
    return {row[0] for row in confirmed}


def select_confirmed(
    connection: Connection, reservation: Reservation, user_ids: Sequence[UUID]
) -> set[UUID]:
    """Return who of `user_ids` was recorded as sent to under the reservation."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT user_id FROM user_notifications
             WHERE user_id = ANY(%(users)s::uuid[]) AND sent_at = %(sent_at)s
               AND reservation_id = %(id)s AND state = 1
            """,
            {
                "users": list(user_ids),
                "sent_at": reservation.scheduled_for,
                "id": reservation.id,
            },
        )
        return {row[0] for row in cursor}


def select_reserved(connection: Connection, reservation_id: int) -> list[UUID]:
    """Return whose slots the reservation still holds."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT user_id FROM user_notifications
             WHERE reservation_id = %(id)s AND state = 0 ORDER BY user_id
            """,
            {"id": reservation_id},
        )
        return [row[0] for row in cursor]


def forget_reserved(connection: Connection, reservation_id: int) -> int:
    """Give back every slot that the reservation still holds; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM user_notifications WHERE reservation_id = %(id)s AND state = 0",
            {"id": reservation_id},
        )
        return int(cursor.rowcount)


def end_reservation(connection: Connection, reservation_id: int, state: ReservationState) -> None:
    """Say that the reservation holds nothing any more."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE reservations SET state = %(state)s WHERE id = %(id)s AND state = 'reserved'",
            {"id": reservation_id, "state": state},
        )


def extend_reservation(connection: Connection, key: str, ttl: timedelta) -> Reservation | None:
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


def sweep_expired(connection: Connection, limit: int = 20) -> int:
    """Clear away slots of reservations that ran out; they had stopped to count by themselves."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE reservations SET state = 'expired'
             WHERE id IN (SELECT id FROM reservations
                           WHERE state = 'reserved' AND expires_at <= clock_timestamp()
                           ORDER BY expires_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
            RETURNING id
            """,
            {"limit": limit},
        )
        ended = [row[0] for row in cursor]
    return sum(forget_reserved(connection, reservation_id) for reservation_id in ended)


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
