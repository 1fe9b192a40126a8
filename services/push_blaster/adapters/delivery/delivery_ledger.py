"""The table `deliveries`: the ledger that keeps a user from being sent to twice.

A row is claimed before the send and settled after it. A row that is claimed and never settled is in
doubt: the send began, and a crash hid its outcome. A row is deferred if the provider surely did not
take the message, or if the message was never tried because the user's send window is not open yet;
the row is claimed again when it is due.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

from chassis.postgres import Connection
from chassis.rows import array_of, execute, fetch_all, fetch_values, insert_many
from push_blaster.domain.delivery.ledger import LedgerPage, LedgerState, Refusal
from push_blaster.domain.delivery.message import Delivery
from push_blaster.domain.delivery.retry import Tried


@dataclass(frozen=True, slots=True)
class Deferral:
    """A message that the provider did not take, why, and when it is tried again."""

    user_id: UUID
    reason: str | None
    tries: int
    not_before: datetime


@dataclass(frozen=True, slots=True)
class WindowDeferral:
    """A user who is deferred to the user's send window, and was never tried before.

    Shape: if `is_asked_apart`, cadence is asked about the user for `counts_at`; else with the
    whole batch.
    """

    user_id: UUID
    opens_at: datetime
    counts_at: datetime
    is_asked_apart: bool


class DeferredUser(NamedTuple):
    """A deferred user: how often the message was tried, and when it is due."""

    tried: Tried
    due_at: datetime


_ON_PAGE: Final = """execution_id = %(execution_id)s AND position = %(position)s
           AND is_test = %(is_test)s AND batch = %(batch)s"""


def select_states(connection: Connection, page: LedgerPage) -> dict[UUID, str]:
    """Return the state of each user on this page, a value of LedgerState."""
    sql = f"SELECT user_id, state FROM deliveries WHERE {_ON_PAGE}"  # noqa: S608 - a constant
    return dict(fetch_all(connection, sql, page._asdict()))


def select_deferred(connection: Connection, page: LedgerPage) -> dict[UUID, DeferredUser]:
    """Return the deferred users."""
    sql = f"""
        SELECT user_id, tries, claimed_at, not_before FROM deliveries
         WHERE {_ON_PAGE} AND state = 'deferred'
    """  # noqa: S608 - a constant
    rows = fetch_all(connection, sql, page._asdict())
    return {
        user_id: DeferredUser(Tried(tries, since), due_at) for user_id, tries, since, due_at in rows
    }


def select_windows(connection: Connection, page: LedgerPage) -> dict[UUID, datetime]:
    """Return the send windows of users on this page who were deferred to one, sent or not."""
    sql = f"""
        SELECT user_id, held_until FROM deliveries
         WHERE {_ON_PAGE} AND held_until IS NOT NULL
    """  # noqa: S608 - a constant
    rows = fetch_all(connection, sql, page._asdict())
    return dict(rows)


def select_asked_windows(connection: Connection, page: LedgerPage) -> dict[UUID, datetime]:
    """Return the send windows for which cadence may have been asked, by user as above.

    Cadence was never asked about users who were gone at the first attempt: the instant at which
    they were refused stands for their window.
    """
    sql = f"""
        SELECT user_id, held_until FROM deliveries
         WHERE {_ON_PAGE} AND held_until IS NOT NULL
           AND NOT (held_until = claimed_at AND state IN ('opted_out', 'exited', 'no_winner'))
    """  # noqa: S608 - a constant
    rows = fetch_all(connection, sql, page._asdict())
    return dict(rows)


def defer_to_windows(
    connection: Connection, page: LedgerPage, deferrals: Sequence[WindowDeferral], now: datetime
) -> None:
    """Defer users who have no state yet, or who were deferred so before and never tried."""
    sql = """
        INSERT INTO deliveries (execution_id, position, is_test, batch, user_id, state, reason,
                                claimed_at, settled_at, not_before, held_until)
        VALUES %s
            ON CONFLICT (user_id, execution_id, position, is_test) DO UPDATE
           SET not_before = EXCLUDED.not_before, held_until = EXCLUDED.held_until,
               reason = EXCLUDED.reason
         WHERE deliveries.state = 'deferred' AND deliveries.tries = 0
    """
    values = [
        (
            *(*page, one.user_id, LedgerState.DEFERRED),
            f"held until {one.opens_at.isoformat(timespec='minutes')}",
            *(now, now, one.opens_at, one.counts_at if one.is_asked_apart else None),
        )
        for one in deferrals
    ]
    insert_many(connection, sql, values)


def insert_refusals(
    connection: Connection, page: LedgerPage, refusals: Sequence[Refusal], now: datetime
) -> None:
    """Record the users who get no message, or no further message, and why; safe to repeat.

    A user who may have the message from an earlier attempt stays in doubt.
    """
    sql = """
        INSERT INTO deliveries (execution_id, position, is_test, batch, user_id, state, reason,
                                claimed_at, settled_at)
        VALUES %s
            ON CONFLICT (user_id, execution_id, position, is_test) DO UPDATE
           SET state = CASE WHEN deliveries.was_in_doubt THEN 'in_doubt'
                            ELSE EXCLUDED.state END,
               reason = EXCLUDED.reason, settled_at = EXCLUDED.settled_at
         WHERE deliveries.state = 'deferred'
    """
    insert_many(
        connection, sql, [(*page, one.user_id, one.state, one.reason, now, now) for one in refusals]
    )


def claim_users(
    connection: Connection, page: LedgerPage, users: Mapping[UUID, str | None], now: datetime
) -> set[UUID]:
    """Claim `users` for a send that begins now; return the users that nobody had claimed.

    Shape: by user, the variant that is sent, if there are several.
    """
    sql = """
        WITH claimed AS (
             INSERT INTO deliveries (execution_id, position, is_test, batch, user_id, state,
                                     variant, claimed_at)
             SELECT %(execution_id)s, %(position)s, %(is_test)s, %(batch)s, v.user_id,
                    'claimed', v.variant, %(now)s
               FROM unnest(%(users)s::uuid[], %(variants)s::text[]) AS v (user_id, variant)
                 ON CONFLICT DO NOTHING
             RETURNING user_id)
        SELECT u FROM unnest(%(users)s::uuid[]) u EXCEPT ALL SELECT user_id FROM claimed
    """
    taken = fetch_values(connection, sql, _claim_values(page, users, now))
    return users.keys() - set(taken)


def claim_deferred(
    connection: Connection, page: LedgerPage, users: Mapping[UUID, str | None], now: datetime
) -> set[UUID]:
    """Claim deferred `users` for a send that begins now; return those who were deferred.

    Shape: by user, the variant that is sent, if there are several.
    """
    sql = f"""
        UPDATE deliveries d
           SET state = 'claimed', settled_at = NULL, variant = v.variant,
               claimed_at = CASE WHEN tries = 0 THEN %(now)s ELSE claimed_at END
          FROM unnest(%(users)s::uuid[], %(variants)s::text[]) AS v (user_id, variant)
         WHERE {_ON_PAGE} AND d.user_id = v.user_id AND d.state = 'deferred'
        RETURNING d.user_id
    """  # noqa: S608 - a constant
    claimed = fetch_values(connection, sql, _claim_values(page, users, now))
    return set(claimed)


def _claim_values(
    page: LedgerPage, users: Mapping[UUID, str | None], now: datetime
) -> Mapping[str, object]:
    return {
        **page._asdict(),
        "users": array_of(users),
        "variants": list(users.values()),
        "now": now,
    }


def claim_again(connection: Connection, page: LedgerPage, user_ids: Sequence[UUID]) -> None:
    """Mark claims that were never settled as in doubt, for a send that begins again now."""
    sql = f"""
        UPDATE deliveries SET was_in_doubt = true
         WHERE {_ON_PAGE} AND user_id = ANY(%(users)s::uuid[]) AND state = 'claimed'
    """  # noqa: S608 - a constant
    execute(connection, sql, {**page._asdict(), "users": array_of(user_ids)})


def settle(
    connection: Connection, page: LedgerPage, deliveries: Sequence[Delivery], now: datetime
) -> None:
    """Write the outcomes of claimed users; an outcome once written stays.

    A message that is refused after an attempt with an unknown outcome stays in doubt: the earlier
    attempt may have arrived.
    """
    if not deliveries:
        return
    sql = f"""
        UPDATE deliveries d
           SET state = CASE WHEN was_in_doubt AND v.state IN ('failed', 'token_dead')
                            THEN 'in_doubt' ELSE v.state END,
               provider_id = v.provider_id, reason = v.reason, settled_at = %(now)s,
               was_in_doubt = was_in_doubt OR v.state = 'in_doubt'
          FROM unnest(%(users)s::uuid[], %(states)s::text[], %(provider_ids)s::text[],
                      %(reasons)s::text[]) AS v (user_id, state, provider_id, reason)
         WHERE {_ON_PAGE} AND d.user_id = v.user_id AND d.state = 'claimed'
    """  # noqa: S608 - a constant
    values = {
        **page._asdict(),
        "now": now,
        "users": array_of(d.user_id for d in deliveries),
        "states": [d.outcome.value for d in deliveries],
        "provider_ids": [d.provider_id for d in deliveries],
        "reasons": [d.reason for d in deliveries],
    }
    execute(connection, sql, values)


def fail_dead(connection: Connection, page: LedgerPage) -> int:
    """Count messages to devices that were called dead as failed; return how many."""
    sql = f"""
        UPDATE deliveries SET state = 'failed' WHERE {_ON_PAGE} AND state = 'token_dead'
    """  # noqa: S608 - a constant
    return execute(connection, sql, page._asdict())


def defer(
    connection: Connection, page: LedgerPage, deferrals: Sequence[Deferral], now: datetime
) -> None:
    """Record which claimed users the provider did not take, and when they are due again."""
    if not deferrals:
        return
    sql = f"""
        UPDATE deliveries d
           SET state = 'deferred', reason = v.reason, tries = v.tries,
               not_before = v.not_before, settled_at = %(now)s
          FROM unnest(%(users)s::uuid[], %(reasons)s::text[], %(tries)s::smallint[],
                      %(due)s::timestamptz[]) AS v (user_id, reason, tries, not_before)
         WHERE {_ON_PAGE} AND d.user_id = v.user_id AND d.state = 'claimed'
    """  # noqa: S608 - a constant
    values = {
        **page._asdict(),
        "now": now,
        "users": array_of(d.user_id for d in deferrals),
        "reasons": [d.reason for d in deferrals],
        "tries": [d.tries for d in deferrals],
        "due": [d.not_before for d in deferrals],
    }
    execute(connection, sql, values)


def release_claims(connection: Connection, page: LedgerPage, user_ids: Sequence[UUID]) -> None:
    """Give back claims whose send surely never began; a user with a window is due as before."""
    sql = f"""
        UPDATE deliveries SET state = 'deferred', settled_at = claimed_at
         WHERE {_ON_PAGE} AND user_id = ANY(%(users)s::uuid[])
           AND state = 'claimed' AND NOT was_in_doubt AND held_until IS NOT NULL;
        DELETE FROM deliveries
         WHERE {_ON_PAGE} AND user_id = ANY(%(users)s::uuid[])
           AND state = 'claimed' AND NOT was_in_doubt
    """  # noqa: S608 - a constant
    execute(connection, sql, {**page._asdict(), "users": array_of(user_ids)})


def leave_deferred_in_doubt(connection: Connection, page: LedgerPage) -> None:
    """Settle deferred users who were in doubt as in doubt, as nothing more will be sent."""
    sql = f"""
        UPDATE deliveries SET state = 'in_doubt'
         WHERE {_ON_PAGE} AND state = 'deferred' AND was_in_doubt
    """  # noqa: S608 - a constant
    execute(connection, sql, page._asdict())


def delete_deferred(connection: Connection, page: LedgerPage) -> None:
    """Forget the deferred users, as nothing more will be sent."""
    sql = f"DELETE FROM deliveries WHERE {_ON_PAGE} AND state = 'deferred'"  # noqa: S608
    execute(connection, sql, page._asdict())


def select_open_tests(
    connection: Connection, ended_before: datetime, limit: int
) -> list[LedgerPage]:
    """Return tests that were being sent, or whose devices await a decision, of ended executions."""
    sql = """
        SELECT DISTINCT d.execution_id, d.position, d.is_test, d.batch
          FROM deliveries d
          JOIN executions e ON e.id = d.execution_id AND e.ended_at <= %(before)s
         WHERE d.is_test AND d.tracked_at IS NULL AND d.state IN ('claimed', 'deferred')
         UNION
        SELECT r.execution_id, r.position, r.is_test, r.batch
          FROM doubted_devices r
          JOIN executions e ON e.id = r.execution_id AND e.ended_at <= %(before)s
         WHERE r.is_test AND NOT r.is_doubted
         LIMIT %(limit)s
    """
    return fetch_all(connection, sql, {"before": ended_before, "limit": limit}, make=LedgerPage)


def reservation_key(page: LedgerPage, window: datetime | None = None) -> str:
    """Return the key under which cadence reserves slots for a batch, or for one send window."""
    whole = f"{page.execution_id}/{page.position}/{page.batch}"
    return f"{whole}/{window.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}" if window else whole
