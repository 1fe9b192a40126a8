"""All that the tables know of one user: recorded notifications, reserved slots, exclusions.

Each part is read by an index that begins with the user, newest first, and only as far as a page
goes. The place of an entry is its instant and its id, in the order of bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Final
from uuid import UUID

from chassis.postgres import BulkConnection
from chassis.rows import fetch_all


class HistoryKind(StrEnum):
    """What an entry is about."""

    NOTIFICATION = "notification"
    SLOT = "slot"
    EXCLUSION = "exclusion"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One thing that is known of a user, in the names of the contract.

    Shape: `key_digests` are the SHA-256 of the callers' keys of notifications at this instant.
    """

    kind: HistoryKind
    at: datetime
    id: str
    layer_id: int
    reservation_key: str | None = None
    actually_sent_at: datetime | None = None
    push_title: str | None = None
    push_body: str | None = None
    audience_description: str | None = None
    deep_link: str | None = None
    import_id: int | None = None
    key_digests: Sequence[str] = ()
    expires_at: datetime | None = None
    rule: str | None = None
    counted_sends: Sequence[datetime] = ()
    next_eligible_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryWindow:
    """Which entries are wanted: `since` is included, and `until` is not; those before a place."""

    since: datetime
    until: datetime
    before: tuple[datetime, str] | None
    limit: int

    def values(self, user_id: UUID) -> dict[str, object]:
        """Return the values of the statements, for a user."""
        at, id_ = self.before or (None, None)
        period = {"since": self.since, "until": self.until}
        return {**period, "user": user_id, "at": at, "id": id_, "limit": self.limit}


def select_user_history(
    connection: BulkConnection, user_id: UUID, window: HistoryWindow
) -> list[HistoryEntry]:
    """Return the entries of a user that fit, newest first."""
    values = window.values(user_id)
    found = [
        entry
        for kind, sql in PARTS.items()
        for entry in fetch_all(
            connection, sql, values, make=partial(HistoryEntry, kind=kind), by_name=True
        )
    ]
    return sorted(found, key=lambda one: (one.at, one.id), reverse=True)[: window.limit]


#: The rows of a part that fit; the first condition lets an index end the search.
_FITTING: Final = """
    at >= %(since)s AND at < %(until)s
    AND at <= coalesce(%(at)s, 'infinity'::timestamptz)
    AND (%(at)s::timestamptz IS NULL OR (at, id) < (%(at)s::timestamptz, %(id)s::text))
    ORDER BY at DESC, id DESC LIMIT %(limit)s
"""
#: The statement of each part.
PARTS: Final = {
    HistoryKind.NOTIFICATION: f"""
        WITH page AS (
          SELECT * FROM (
            SELECT sent_at AS at,
                   concat_ws('/', 'notification', tableoid, ctid) COLLATE "C" AS id,
                   layer_id, actually_sent_at, message_id, reservation_id, import_id
              FROM user_notifications WHERE user_id = %(user)s) own
           WHERE {_FITTING}),
        keys AS (
          SELECT sent_at, array_agg(encode(key, 'hex')) AS digests
            FROM notification_keys
           WHERE user_id = %(user)s AND sent_at IN (SELECT at FROM page) GROUP BY sent_at)
        SELECT p.at, p.id, p.layer_id, p.actually_sent_at, p.import_id, r.key AS reservation_key,
               m.push_title, m.push_body, m.audience_description, m.deep_link,
               coalesce(k.digests, '{{}}') AS key_digests
          FROM page p
          LEFT JOIN messages m ON m.id = p.message_id
          LEFT JOIN reservations r ON r.id = p.reservation_id
          LEFT JOIN keys k ON k.sent_at = p.at
    """,  # noqa: S608 - a constant
    HistoryKind.SLOT: f"""
        SELECT * FROM (
          SELECT r.scheduled_for AS at, concat_ws('/', 'slot', r.id) COLLATE "C" AS id, r.layer_id,
                 r.key AS reservation_key, r.expires_at
            FROM (SELECT reservation_id FROM held_slots WHERE user_id = %(user)s OFFSET 0) h
            JOIN reservations r ON r.id = h.reservation_id
           WHERE r.state = 'reserved' AND r.expires_at > clock_timestamp()) own
         WHERE {_FITTING}
    """,  # noqa: S608 - a constant
    HistoryKind.EXCLUSION: f"""
        SELECT * FROM (
          SELECT r.created_at AS at, concat_ws('/', 'exclusion', r.id) COLLATE "C" AS id,
                 r.layer_id, r.key AS reservation_key, x.rule, x.counted_sends, x.next_eligible_at
            FROM (SELECT * FROM reservation_exclusions WHERE user_id = %(user)s OFFSET 0) x
            JOIN reservations r ON r.id = x.reservation_id) own
         WHERE {_FITTING}
    """,  # noqa: S608 - a constant
}
