"""Writing to the history: texts once, keys once, and the notifications themselves."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg2.extras import execute_values

from chassis.postgres import Connection


@dataclass(frozen=True, slots=True)
class MessageTexts:
    """The texts of a push, as they are remembered."""

    push_title: str
    push_body: str
    audience_description: str
    deep_link: str | None

    @property
    def digest(self) -> bytes:
        """Return what tells these texts from others."""
        texts = (self.push_title, self.push_body, self.audience_description, self.deep_link)
        return hashlib.sha256(repr(texts).encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A notification that was sent, to be remembered."""

    user_id: UUID
    layer_id: int
    texts: MessageTexts
    sent_at: datetime
    actually_sent_at: datetime
    idempotency_key: str | None

    @property
    def key(self) -> bytes | None:
        """Return the caller's key as it is stored, or None without one."""
        if self.idempotency_key is None:
            return None
        return hashlib.sha256(self.idempotency_key.encode()).digest()


def upsert_messages(connection: Connection, texts: Iterable[MessageTexts]) -> dict[bytes, int]:
    """Remember each of `texts` once; return the ids by digest."""
    wanted = {text.digest: text for text in texts}
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            """
            INSERT INTO messages (digest, push_title, push_body, audience_description, deep_link)
            VALUES %s
                ON CONFLICT (digest) DO NOTHING
            """,
            [
                (digest, t.push_title, t.push_body, t.audience_description, t.deep_link)
                for digest, t in sorted(wanted.items())
            ],
        )
        cursor.execute(
            "SELECT digest, id FROM messages WHERE digest = ANY(%(digests)s)",
            {"digests": list(wanted)},
        )
        return {bytes(digest): message_id for digest, message_id in cursor}


def claim_keys(
    connection: Connection, notifications: Sequence[Notification]
) -> set[tuple[UUID, bytes]]:
    """Claim the keys of `notifications`; return those that nobody had claimed before."""
    keyed = sorted({(n.user_id, n.key, n.sent_at) for n in notifications if n.key is not None})
    if not keyed:
        return set()
    with connection.cursor() as cursor:
        claimed = execute_values(
            cursor,
            """
            INSERT INTO notification_keys (user_id, key, sent_at)
            VALUES %s
                ON CONFLICT (user_id, key) DO NOTHING
            RETURNING user_id, key
            """,
            keyed,
            page_size=2_000,
            fetch=True,
        )
    return {(user_id, bytes(key)) for user_id, key in claimed}


def insert_notifications(
    connection: Connection,
    notifications: Sequence[Notification],
    message_ids: dict[bytes, int],
    rule_set: int | None,
    reservation_id: int | None = None,
) -> None:
    """Add `notifications` to the history, sorted by user so that its index grows in order."""
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            """
            INSERT INTO user_notifications (user_id, sent_at, layer_id, message_id, rule_set,
                                            actually_sent_at, reservation_id)
            VALUES %s
            """,
            [
                (
                    n.user_id,
                    n.sent_at,
                    n.layer_id,
                    message_ids[n.texts.digest],
                    rule_set,
                    n.actually_sent_at,
                    reservation_id,
                )
                for n in sorted(notifications, key=lambda n: n.user_id)
            ],
            page_size=2_000,
        )
