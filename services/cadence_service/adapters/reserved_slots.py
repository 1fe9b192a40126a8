"""The table `held_slots`: slots of users' caps that a reservation holds until it is settled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cadence_service.adapters.id_arrays import read_sent_ids
from cadence_service.adapters.reservation_table import Reservation, ReservationState
from cadence_service.domain.user_ids import UserIds, without
from chassis.postgres import BulkConnection
from chassis.rows import execute, fetch_value

_SETTLED: Final = frozenset({ReservationState.CONFIRMED, ReservationState.RELEASED})
#: The number space of the advisory locks by which only one reservation judges a user at a time.
LOCK_SPACE: Final = 77


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservedSends:
    """The sends to users under a reservation: which text, on which layer, and when.

    Shape: each list has one entry for each user, in order, or one for all users; `instants` are
    the ones that rules count, `actual_instants` say when the message really went out.
    """

    users: UserIds
    message_ids: Sequence[int]
    layer_ids: Sequence[int]
    instants: Sequence[datetime]
    actual_instants: Sequence[datetime]


def lock_users(connection: BulkConnection, buckets: Sequence[int]) -> bool:
    """Lock these buckets, so that only this transaction judges their users; return True.

    This must be a statement of its own: the next statement then sees everything that earlier
    holders of the locks wrote. Shape: `buckets` are in ascending order, so that callers never
    deadlock.
    """
    sql = "SELECT pg_advisory_xact_lock(%(space)s, b) FROM unnest(%(buckets)s::int[]) b"
    execute(connection, sql, {"space": LOCK_SPACE, "buckets": list(buckets)})
    return True


def try_lock_users(connection: BulkConnection, buckets: Sequence[int]) -> bool:
    """Lock the buckets if nobody else has any of these locks; else return False.

    After False the transaction may hold some of the locks, and has to end.
    """
    sql = (
        "SELECT bool_and(pg_try_advisory_xact_lock(%(space)s, b)) FROM unnest(%(buckets)s::int[]) b"
    )
    return bool(fetch_value(connection, sql, {"space": LOCK_SPACE, "buckets": list(buckets)}))


def reserve_slots(connection: BulkConnection, reservation_id: int, users: UserIds) -> None:
    """Reserve a slot of each of `users` for the reservation."""
    sql = "INSERT INTO held_slots SELECT u, %(id)s FROM unnest(%(users)s::uuid[]) u"
    execute(connection, sql, {"users": users, "id": reservation_id})


def select_reserved(connection: BulkConnection, reservation_id: int) -> UserIds:
    """Return the users whose slots the reservation still holds."""
    sql = (
        "SELECT string_agg(uuid_send(user_id), ''::bytea) FROM held_slots"
        " WHERE reservation_id = %(id)s"
    )
    raw = fetch_value(connection, sql, {"id": reservation_id})
    return read_sent_ids(raw)


def release_slots(connection: BulkConnection, reservation_id: int) -> int:
    """Release every slot that the reservation still holds; return how many."""
    sql = "DELETE FROM held_slots WHERE reservation_id = %(id)s"
    return execute(connection, sql, {"id": reservation_id})


def select_settled(connection: BulkConnection, reservation: Reservation, users: UserIds) -> UserIds:
    """Return which of `users` a settlement of the reservation recorded as sent to."""
    if reservation.state not in _SETTLED or not len(users):
        return without(users, users)
    sql = """
        SELECT string_agg(uuid_send(user_id), ''::bytea)
          FROM user_notifications
         WHERE user_id = ANY(%(users)s::uuid[]) AND sent_at = %(scheduled_for)s
           AND reservation_id = %(id)s
    """
    raw = fetch_value(
        connection,
        sql,
        {"users": users, "scheduled_for": reservation.scheduled_for, "id": reservation.id},
    )
    return read_sent_ids(raw)


def confirm_slots(
    connection: BulkConnection, reservation: Reservation, sends: ReservedSends
) -> UserIds:
    """Turn the slots of users into sends; return the users who still had a slot."""
    taken = """
        DELETE FROM held_slots h USING sent
         WHERE h.user_id = sent.user_id AND h.reservation_id = %(id)s
        RETURNING sent.*
    """
    return _record(connection, reservation, sends, taken)


def record_late(
    connection: BulkConnection, reservation: Reservation, sends: ReservedSends
) -> UserIds:
    """Record sends to users without a slot; return the users whose send was not recorded yet."""
    if not len(sends.users):
        return sends.users
    unknown = """
        SELECT * FROM sent
         WHERE NOT EXISTS (SELECT 1 FROM user_notifications n
                            WHERE n.user_id = sent.user_id AND n.sent_at = sent.sent_at
                              AND n.reservation_id = %(id)s)
    """
    return _record(connection, reservation, sends, unknown)


def _record(
    connection: BulkConnection, reservation: Reservation, sends: ReservedSends, chosen: str
) -> UserIds:
    """Add the sends to the `chosen` users to the history, in order; return who these users are."""
    is_alike = len(sends.message_ids) == 1
    sql = f"""
        WITH sent AS ({_SENT_ALIKE if is_alike else _SENT_EACH}),
             chosen AS ({chosen}),
             recorded AS (
               INSERT INTO user_notifications (user_id, sent_at, layer_id, message_id, rule_set,
                                               reservation_id, actually_sent_at)
               SELECT user_id, sent_at, layer_id, message_id, %(rule_set)s, %(id)s, actually_sent_at
                 FROM chosen ORDER BY user_id
               RETURNING user_id)
        SELECT string_agg(uuid_send(user_id), ''::bytea) FROM recorded
    """  # noqa: S608 - made of constants; every value is a parameter
    values = {
        "users": sends.users,
        "message_ids": list(sends.message_ids),
        "layer_ids": list(sends.layer_ids),
        "instants": list(sends.instants),
        "actual_instants": list(sends.actual_instants),
        "id": reservation.id,
        "rule_set": reservation.rule_set,
    }
    raw = fetch_value(connection, sql, values)
    return read_sent_ids(raw)


_SENT_EACH: Final = """
    SELECT * FROM unnest(%(users)s::uuid[], %(message_ids)s::int[], %(layer_ids)s::smallint[],
                         %(instants)s::timestamptz[], %(actual_instants)s::timestamptz[])
               AS sent (user_id, message_id, layer_id, sent_at, actually_sent_at)
"""
_SENT_ALIKE: Final = """
    SELECT u AS user_id, (%(message_ids)s::int[])[1] AS message_id,
           (%(layer_ids)s::smallint[])[1] AS layer_id, (%(instants)s::timestamptz[])[1] AS sent_at,
           (%(actual_instants)s::timestamptz[])[1] AS actually_sent_at
      FROM unnest(%(users)s::uuid[]) u
"""
