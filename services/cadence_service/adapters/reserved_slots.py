"""The table `held_slots`: slots of users' caps that a reservation holds, until it is settled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cadence_service.adapters.id_arrays import read_sent_ids
from cadence_service.adapters.reservation_table import Reservation
from cadence_service.domain.user_ids import UserIds
from chassis.postgres import BulkConnection

#: Advisory locks of this number space keep two reservations from judging one user at a time.
LOCK_SPACE: Final = 77


@dataclass(frozen=True, slots=True)
class Told:
    """What users were sent under a reservation: which text, and when.

    Shape: `message_ids` and `instants` have one entry for each user, in order, or one for all.
    """

    users: UserIds
    message_ids: Sequence[int]
    instants: Sequence[datetime]


def lock_users(connection: BulkConnection, buckets: Sequence[int]) -> None:
    """Let nobody else judge users of these buckets until the transaction ends.

    This must be a statement of its own: the next one then sees all that earlier holders wrote.
    Shape: in ascending order, as everybody takes them, so that nobody waits in a circle.
    """
    connection.execute(
        "SELECT pg_advisory_xact_lock(%(space)s, b) FROM unnest(%(buckets)s::int[]) b",
        {"space": LOCK_SPACE, "buckets": list(buckets)},
    )


def hold_slots(connection: BulkConnection, reservation_id: int, users: UserIds) -> None:
    """Take a slot of each of `users` for the reservation."""
    connection.execute(
        "INSERT INTO held_slots SELECT u, %(id)s FROM unnest(%(users)s::uuid[]) u",
        {"users": users, "id": reservation_id},
    )


def select_held(connection: BulkConnection, reservation_id: int) -> UserIds:
    """Return whose slots the reservation still holds."""
    row = connection.execute(
        "SELECT string_agg(uuid_send(user_id), ''::bytea) FROM held_slots"
        " WHERE reservation_id = %(id)s",
        {"id": reservation_id},
    ).fetchone()
    return read_sent_ids(row[0] if row else None)


def give_back(connection: BulkConnection, reservation_id: int) -> int:
    """Give back every slot that the reservation still holds; return how many."""
    return connection.execute(
        "DELETE FROM held_slots WHERE reservation_id = %(id)s", {"id": reservation_id}
    ).rowcount


def confirm_slots(connection: BulkConnection, reservation: Reservation, told: Told) -> UserIds:
    """Turn the slots of users into sends; return who still had one."""
    taken = """
        DELETE FROM held_slots h USING told
         WHERE h.user_id = told.user_id AND h.reservation_id = %(id)s
        RETURNING told.*
    """
    return _record(connection, reservation, told, taken)


def record_late(connection: BulkConnection, reservation: Reservation, told: Told) -> UserIds:
    """Record sends to users who hold no slot any more; return whose had not been recorded yet."""
    unknown = """
        SELECT * FROM told
         WHERE NOT EXISTS (SELECT 1 FROM user_notifications n
                            WHERE n.user_id = told.user_id AND n.sent_at = %(sent_at)s
                              AND n.reservation_id = %(id)s)
    """
    return _record(connection, reservation, told, unknown)


def _record(
    connection: BulkConnection, reservation: Reservation, told: Told, chosen: str
) -> UserIds:
    """Add what was told of the `chosen` users to the history, in order; return who that was."""
    is_alike = len(told.message_ids) == 1
    row = connection.execute(
        f"""
        WITH told AS ({_TOLD_ALIKE if is_alike else _TOLD_EACH}),
             chosen AS ({chosen}),
             recorded AS (
               INSERT INTO user_notifications (user_id, sent_at, layer_id, message_id, rule_set,
                                               reservation_id, actually_sent_at)
               SELECT user_id, %(sent_at)s, %(layer_id)s, message_id, %(rule_set)s, %(id)s, sent_at
                 FROM chosen ORDER BY user_id
               RETURNING user_id)
        SELECT string_agg(uuid_send(user_id), ''::bytea) FROM recorded
        """,  # noqa: S608 - made of constants; every value is a parameter
        {
            "users": told.users,
            "message_ids": list(told.message_ids),
            "instants": list(told.instants),
            "id": reservation.id,
            "sent_at": reservation.scheduled_for,
            "layer_id": reservation.layer_id,
            "rule_set": reservation.rule_set,
        },
    ).fetchone()
    return read_sent_ids(row[0] if row else None)


_TOLD_EACH: Final = """
    SELECT * FROM unnest(%(users)s::uuid[], %(message_ids)s::int[], %(instants)s::timestamptz[])
               AS told (user_id, message_id, sent_at)
"""
_TOLD_ALIKE: Final = """
    SELECT u AS user_id, (%(message_ids)s::int[])[1] AS message_id,
           (%(instants)s::timestamptz[])[1] AS sent_at
      FROM unnest(%(users)s::uuid[]) u
"""
