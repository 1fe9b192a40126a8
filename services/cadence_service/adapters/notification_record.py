"""Writing to the history: texts once, keys once, and the notifications themselves."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cadence_service.adapters.id_arrays import read_sent_ids
from cadence_service.domain.user_ids import UserIds
from chassis.postgres import BulkConnection
from chassis.rows import execute, fetch_all, fetch_value


@dataclass(frozen=True, slots=True)
class MessageTexts:
    """The texts of a push, as they are recorded."""

    push_title: str
    push_body: str
    audience_description: str
    deep_link: str | None

    @property
    def digest(self) -> bytes:
        """Return a value that differs for different texts."""
        texts = (self.push_title, self.push_body, self.audience_description, self.deep_link)
        return hashlib.sha256(repr(texts).encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A notification that was sent, to be recorded."""

    user_id: UUID
    layer_id: int
    texts: MessageTexts
    sent_at: datetime
    actually_sent_at: datetime
    idempotency_key: str | None

    @property
    def key(self) -> bytes | None:
        """Return the key of the caller as it is stored, or None if there is no key."""
        if self.idempotency_key is None:
            return None
        return hashlib.sha256(self.idempotency_key.encode()).digest()


def upsert_messages(connection: BulkConnection, texts: Iterable[MessageTexts]) -> dict[bytes, int]:
    """Record each of `texts` once; return the ids by digest."""
    wanted = dict(sorted((text.digest, text) for text in set(texts)))
    sql = """
        INSERT INTO messages (digest, push_title, push_body, audience_description, deep_link)
        SELECT * FROM unnest(%(digests)s::bytea[], %(titles)s::text[], %(bodies)s::text[],
                             %(descriptions)s::text[], %(links)s::text[])
            ON CONFLICT (digest) DO NOTHING
    """
    values = {
        "digests": list(wanted),
        "titles": [text.push_title for text in wanted.values()],
        "bodies": [text.push_body for text in wanted.values()],
        "descriptions": [text.audience_description for text in wanted.values()],
        "links": [text.deep_link for text in wanted.values()],
    }
    execute(connection, sql, values)
    known = "SELECT digest, id FROM messages WHERE digest = ANY(%(digests)s::bytea[])"
    return dict(fetch_all(connection, known, {"digests": list(wanted)}))


def claim_keys(
    connection: BulkConnection, notifications: Sequence[Notification]
) -> set[tuple[UUID, bytes]]:
    """Claim the keys of `notifications`; return the keys that are new."""
    keyed = sorted({(n.user_id, n.key, n.sent_at) for n in notifications if n.key is not None})
    if not keyed:
        return set()
    users, keys, instants = zip(*keyed, strict=True)
    sql = """
        INSERT INTO notification_keys (user_id, key, sent_at)
        SELECT * FROM unnest(%(users)s::uuid[], %(keys)s::bytea[], %(instants)s::timestamptz[])
            ON CONFLICT (user_id, key) DO NOTHING
        RETURNING user_id, key
    """
    rows = fetch_all(
        connection, sql, {"users": list(users), "keys": list(keys), "instants": list(instants)}
    )
    return set(rows)


def claim_users(
    connection: BulkConnection, users: UserIds, key: bytes, sent_at: datetime
) -> UserIds:
    """Claim one key for each of `users`; return the users whose key is new."""
    if not len(users):
        return users
    sql = """
        WITH claimed AS (
          INSERT INTO notification_keys (user_id, key, sent_at)
          SELECT u, %(key)s, %(sent_at)s FROM unnest(%(users)s::uuid[]) u
              ON CONFLICT (user_id, key) DO NOTHING
          RETURNING user_id)
        SELECT string_agg(uuid_send(user_id), ''::bytea) FROM claimed
    """
    raw = fetch_value(connection, sql, {"users": users, "key": key, "sent_at": sent_at})
    return read_sent_ids(raw)


def insert_notifications(
    connection: BulkConnection,
    notifications: Sequence[Notification],
    message_ids: dict[bytes, int],
    rule_set: int | None,
) -> None:
    """Add `notifications` to the history, sorted by user so that its index grows in order."""
    ordered = sorted(notifications, key=lambda n: n.user_id)
    sql = """
        INSERT INTO user_notifications (user_id, sent_at, layer_id, message_id, actually_sent_at,
                                        rule_set)
        SELECT *, %(rule_set)s::int
          FROM unnest(%(users)s::uuid[], %(instants)s::timestamptz[], %(layers)s::smallint[],
                      %(messages)s::int[], %(actual)s::timestamptz[])
    """
    values = {
        "users": [n.user_id for n in ordered],
        "instants": [n.sent_at for n in ordered],
        "layers": [n.layer_id for n in ordered],
        "messages": [message_ids[n.texts.digest] for n in ordered],
        "actual": [n.actually_sent_at for n in ordered],
        "rule_set": rule_set,
    }
    execute(connection, sql, values)
