"""The table `deliveries`: the ledger that keeps a user from being sent to twice.

A row is claimed before the send and settled after it. What is claimed and never settled is in
doubt: the send began, and a crash hid its outcome. What is deferred was surely not taken by the
provider, or never tried because its user is held; it is claimed when it is due.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from psycopg2.extras import execute_values

from chassis.postgres import Connection
from push_blaster.domain.delivery.ledger import Refusal
from push_blaster.domain.delivery.message import Delivery
from push_blaster.domain.delivery.retry import Tried


@dataclass(frozen=True, slots=True, order=True)
class LedgerPage:
    """Where a group of deliveries stands: a push's test, or one batch of its live send."""

    execution_id: str
    position: int
    is_test: bool
    batch: int = 0


@dataclass(frozen=True, slots=True)
class Deferral:
    """A message that the provider did not take, why, and when it is tried again."""

    user_id: UUID
    reason: str | None
    tries: int
    not_before: datetime


@dataclass(frozen=True, slots=True)
class Hold:
    """A user who is put off by the user's own time, and never tried before.

    Shape: `held_until` is the instant for which cadence will be asked; None: with the whole batch.
    """

    user_id: UUID
    not_before: datetime
    held_until: datetime | None


_ON_PAGE: Final = """execution_id = %(execution_id)s AND position = %(position)s
               AND is_test = %(is_test)s AND batch = %(batch)s"""


def select_states(connection: Connection, page: LedgerPage) -> dict[UUID, str]:
    """Return the state of each user on this page."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT user_id, state FROM deliveries WHERE {_ON_PAGE}",  # noqa: S608 - a constant
            key_of(page),
        )
        return dict(cursor.fetchall())


def select_deferred(connection: Connection, page: LedgerPage) -> dict[UUID, tuple[Tried, datetime]]:
    """Return who was deferred: how often they were tried, and when they are due."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT user_id, tries, claimed_at, not_before FROM deliveries
             WHERE {_ON_PAGE} AND state = 'deferred'
            """,  # noqa: S608 - a constant
            key_of(page),
        )
        return {row[0]: (Tried(row[1], row[2]), row[3]) for row in cursor}


def select_held(connection: Connection, page: LedgerPage) -> dict[UUID, datetime]:
    """Return who was ever held on this page, and until when."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT user_id, held_until FROM deliveries
             WHERE {_ON_PAGE} AND held_until IS NOT NULL
            """,  # noqa: S608 - a constant
            key_of(page),
        )
        return dict(cursor.fetchall())


def hold(connection: Connection, page: LedgerPage, holds: Sequence[Hold], now: datetime) -> None:
    """Put off users who have no state yet, or who were held already and never tried."""
    if not holds:
        return
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            """
            INSERT INTO deliveries (execution_id, position, is_test, batch, user_id, state, reason,
                                    claimed_at, settled_at, not_before, held_until)
            VALUES %s
                ON CONFLICT (user_id, execution_id, position, is_test) DO UPDATE
               SET not_before = EXCLUDED.not_before, held_until = EXCLUDED.held_until,
                   reason = EXCLUDED.reason
             WHERE deliveries.state = 'deferred' AND deliveries.tries = 0
            """,
            [
                (*key_of(page).values(), h.user_id, "deferred", _why(h), now, now, *_when(h))
                for h in holds
            ],
            page_size=1_000,
        )


def _why(hold: Hold) -> str:
    return f"held until {hold.not_before.isoformat(timespec='minutes')}"


def _when(hold: Hold) -> tuple[datetime, datetime | None]:
    return hold.not_before, hold.held_until


def insert_refusals(
    connection: Connection, page: LedgerPage, refusals: Sequence[Refusal], now: datetime
) -> None:
    """Write down who gets no message, or none any more, and why; safe to repeat.

    Whoever may have the message from an earlier attempt stays in doubt.
    """
    if not refusals:
        return
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            """
            INSERT INTO deliveries (execution_id, position, is_test, batch, user_id, state, reason,
                                    claimed_at, settled_at)
            VALUES %s
                ON CONFLICT (user_id, execution_id, position, is_test) DO UPDATE
               SET state = CASE WHEN deliveries.was_in_doubt THEN 'in_doubt'
                                ELSE EXCLUDED.state END,
                   reason = EXCLUDED.reason, settled_at = EXCLUDED.settled_at
             WHERE deliveries.state = 'deferred'
            """,
            [(*key_of(page).values(), r.user_id, r.state, r.reason, now, now) for r in refusals],
            page_size=1_000,
        )


def claim_users(
    connection: Connection, page: LedgerPage, users: Mapping[UUID, str | None], now: datetime
) -> set[UUID]:
    """Claim `users` for a send that begins now; return those whom nobody had claimed.

    Shape: by user, the variant that is sent, if there are several.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH claimed AS (
                 INSERT INTO deliveries (execution_id, position, is_test, batch, user_id, state,
                                         variant, claimed_at)
                 SELECT %(execution_id)s, %(position)s, %(is_test)s, %(batch)s, v.user_id,
                        'claimed', v.variant, %(now)s
                   FROM unnest(%(users)s::uuid[], %(variants)s::text[]) AS v (user_id, variant)
                     ON CONFLICT DO NOTHING
                 RETURNING user_id)
            SELECT u FROM unnest(%(users)s::uuid[]) u EXCEPT ALL SELECT user_id FROM claimed
            """,
            {
                **key_of(page),
                "users": array_of(users),
                "variants": list(users.values()),
                "now": now,
            },
        )
        return users.keys() - {row[0] for row in cursor}


def claim_deferred(
    connection: Connection, page: LedgerPage, users: Mapping[UUID, str | None], now: datetime
) -> set[UUID]:
    """Claim deferred `users` for a send that begins now; return those who were deferred.

    Shape: by user, the variant that is sent, if there are several.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE deliveries d
               SET state = 'claimed', settled_at = NULL, variant = v.variant,
                   claimed_at = CASE WHEN tries = 0 THEN %(now)s ELSE claimed_at END
              FROM unnest(%(users)s::uuid[], %(variants)s::text[]) AS v (user_id, variant)
             WHERE {_ON_PAGE} AND d.user_id = v.user_id AND d.state = 'deferred'
            RETURNING d.user_id
            """,  # noqa: S608 - a constant
            {
                **key_of(page),
                "users": array_of(users),
                "variants": list(users.values()),
                "now": now,
            },
        )
        return {row[0] for row in cursor}


def claim_again(connection: Connection, page: LedgerPage, user_ids: Sequence[UUID]) -> None:
    """Mark claims that were never settled as in doubt, for a send that begins again now."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE deliveries SET was_in_doubt = true
             WHERE {_ON_PAGE} AND user_id = ANY(%(users)s::uuid[]) AND state = 'claimed'
            """,  # noqa: S608 - a constant
            {**key_of(page), "users": array_of(user_ids)},
        )


def settle(
    connection: Connection, page: LedgerPage, deliveries: Iterable[Delivery], now: datetime
) -> None:
    """Write the outcomes of claimed users; an outcome once written stays.

    Refused after an attempt whose outcome is unknown is still in doubt: that one may have arrived.
    """
    settled = list(deliveries)
    if not settled:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE deliveries d
               SET state = CASE WHEN was_in_doubt AND v.state IN ('failed', 'token_dead')
                                THEN 'in_doubt' ELSE v.state END,
                   provider_id = v.provider_id, reason = v.reason, settled_at = %(now)s,
                   was_in_doubt = was_in_doubt OR v.state = 'in_doubt'
              FROM unnest(%(users)s::uuid[], %(states)s::text[], %(provider_ids)s::text[],
                          %(reasons)s::text[]) AS v (user_id, state, provider_id, reason)
             WHERE {_ON_PAGE} AND d.user_id = v.user_id AND d.state = 'claimed'
            """,  # noqa: S608 - a constant
            {
                **key_of(page),
                "now": now,
                "users": array_of(d.user_id for d in settled),
                "states": [d.outcome.value for d in settled],
                "provider_ids": [d.provider_id for d in settled],
                "reasons": [d.reason for d in settled],
            },
        )


def defer(
    connection: Connection, page: LedgerPage, deferrals: Sequence[Deferral], now: datetime
) -> None:
    """Write down which claimed users the provider did not take, and when they are due again."""
    if not deferrals:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE deliveries d
               SET state = 'deferred', reason = v.reason, tries = v.tries,
                   not_before = v.not_before, settled_at = %(now)s
              FROM unnest(%(users)s::uuid[], %(reasons)s::text[], %(tries)s::smallint[],
                          %(due)s::timestamptz[]) AS v (user_id, reason, tries, not_before)
             WHERE {_ON_PAGE} AND d.user_id = v.user_id AND d.state = 'claimed'
            """,  # noqa: S608 - a constant
            {
                **key_of(page),
                "now": now,
                "users": array_of(d.user_id for d in deferrals),
                "reasons": [d.reason for d in deferrals],
                "tries": [d.tries for d in deferrals],
                "due": [d.not_before for d in deferrals],
            },
        )


def release_claims(connection: Connection, page: LedgerPage, user_ids: Sequence[UUID]) -> None:
    """Give back claims whose send surely never began; whoever was held is due as before."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE deliveries SET state = 'deferred', settled_at = claimed_at
             WHERE {_ON_PAGE} AND user_id = ANY(%(users)s::uuid[])
               AND state = 'claimed' AND NOT was_in_doubt AND held_until IS NOT NULL
            """,  # noqa: S608 - a constant
            {**key_of(page), "users": array_of(user_ids)},
        )
        cursor.execute(
            f"""
            DELETE FROM deliveries
             WHERE {_ON_PAGE} AND user_id = ANY(%(users)s::uuid[])
               AND state = 'claimed' AND NOT was_in_doubt
            """,  # noqa: S608 - a constant
            {**key_of(page), "users": array_of(user_ids)},
        )


def delete_deferred(connection: Connection, page: LedgerPage) -> None:
    """Forget who was deferred, as nothing more will be sent; what was in doubt before, stays so."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE deliveries SET state = 'in_doubt'
             WHERE {_ON_PAGE} AND state = 'deferred' AND was_in_doubt;
            DELETE FROM deliveries WHERE {_ON_PAGE} AND state = 'deferred'
            """,  # noqa: S608 - a constant
            key_of(page),
        )


def select_open_tests(
    connection: Connection, ended_before: datetime, limit: int
) -> list[LedgerPage]:
    """Return tests that were being sent when their executions ended."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT d.execution_id, d.position, d.is_test, d.batch
              FROM deliveries d
              JOIN executions e ON e.id = d.execution_id AND e.ended_at <= %(before)s
             WHERE d.is_test AND d.tracked_at IS NULL AND d.state IN ('claimed', 'deferred')
             LIMIT %(limit)s
            """,
            {"before": ended_before, "limit": limit},
        )
        return [LedgerPage(*row) for row in cursor]


def array_of(user_ids: Iterable[UUID]) -> str:
    """Return ids as PostgreSQL reads an array: one short text, and not a value for each."""
    return "{" + ",".join([user_id.hex for user_id in user_ids]) + "}"


def key_of(page: LedgerPage) -> Mapping[str, object]:
    """Return what tells this page from the others, by the name of its column."""
    return {
        "execution_id": page.execution_id,
        "position": page.position,
        "is_test": page.is_test,
        "batch": page.batch,
    }


def reservation_key(page: LedgerPage, held_until: datetime | None = None) -> str:
    """Return the key under which cadence holds the slots of a batch, or of its users held so."""
    whole = f"{page.execution_id}/{page.position}/{page.batch}"
    return f"{whole}/{held_until.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}" if held_until else whole
