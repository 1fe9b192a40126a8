"""The table `user_notifications`: every notification that every user got; and what is held."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from cadence_service.adapters.partitions import FOREVER
from cadence_service.domain.cadence import Send
from cadence_service.domain.user_ids import UserIds
from chassis.postgres import BulkConnection


def select_sends(
    connection: BulkConnection, users: UserIds, after: datetime, before: datetime | None = None
) -> dict[UUID, list[Send]]:
    """Return the sends of each of `users` between two instants, held slots too.

    PostgreSQL knows nothing of an array's ids; it is made to probe the index for each.
    """
    connection.execute(
        "SELECT set_config('enable_hashjoin', 'off', true),"
        " set_config('join_collapse_limit', '1', true),"
        " set_config('enable_mergejoin', 'off', true), set_config('enable_nestloop', 'on', true)"
    )
    rows = connection.execute(
        """
        SELECT n.user_id, n.layer_id, n.sent_at
          FROM unnest(%(users)s::uuid[]) u JOIN user_notifications n ON n.user_id = u
         WHERE n.sent_at > %(after)s AND n.sent_at < %(before)s
        UNION ALL
        SELECT h.user_id, r.layer_id, r.scheduled_for
          FROM unnest(%(users)s::uuid[]) u JOIN held_slots h ON h.user_id = u
          JOIN reservations r ON r.id = h.reservation_id
         WHERE r.scheduled_for > %(after)s AND r.scheduled_for < %(before)s
           AND r.state = 'reserved' AND r.expires_at > clock_timestamp()
        """,
        {"users": users, "after": after, "before": before or FOREVER},
    )
    sends: dict[UUID, list[Send]] = {}
    for user_id, layer_id, sent_at in rows:
        sends.setdefault(user_id, []).append(Send(layer_id, sent_at))
    return sends


def stream_history(
    connection: BulkConnection, start: datetime, end: datetime, share: float
) -> Iterator[tuple[UUID, int, datetime]]:
    """Yield (user, layer, instant) of what was sent from `start` to before `end`.

    Shape: by user, then by instant; a `share` below 1 takes that part of the users, always the
    same ones.
    """
    with connection.cursor("history") as cursor:
        cursor.itersize = 20_000
        cursor.execute(
            """
            SELECT user_id, layer_id, sent_at
              FROM user_notifications
             WHERE sent_at >= %(start)s AND sent_at < %(end)s
               AND (hashtextextended(user_id::text, 0) & 65535) < %(share)s * 65536
             ORDER BY user_id, sent_at, layer_id
            """,
            {"start": start, "end": end, "share": share},
        )
        yield from cursor
