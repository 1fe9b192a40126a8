"""Searches in the ledger: what one user got, which devices failed, what went wrong."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from chassis.postgres import Connection
from chassis.rows import fetch_all, fetch_values
from push_blaster.adapters.automations.automation_document import pick_push
from push_blaster.domain.delivery.ledger import LedgerState
from push_blaster.domain.executions.modes import Mode

#: The states that mean that something went wrong; a capped user is no fault.
AMISS: Final = (
    LedgerState.IN_DOUBT,
    LedgerState.FAILED,
    LedgerState.TOKEN_DEAD,
    LedgerState.NO_TOKEN,
    LedgerState.MISSING_VARIABLE,
    LedgerState.BAD_DEEP_LINK,
    LedgerState.TOO_LONG,
    LedgerState.NOT_IN_TIME,
)


class Failure(NamedTuple):
    """Users of a push who are in one state for one reason, and the id of one of them."""

    position: int
    state: str
    reason: str | None
    users: int
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDelivery:
    """The outcome of one push for a user; the texts still have their placeholders.

    Shape: `entry` tells the delivery from others of the same instant. A message that `is_waiting`
    was never tried, because its time has not come.
    """

    execution_id: str
    automation_id: str
    automation_name: str
    mode: str
    position: int
    is_test: bool
    user_id: UUID
    state: str
    reason: str | None
    provider_id: str | None
    variant: str | None
    was_in_doubt: bool
    claimed_at: datetime
    settled_at: datetime | None
    is_waiting: bool
    entry: str
    title: str
    body: str
    layer_id: int


def select_failures(connection: Connection, execution_id: str, limit: int) -> list[Failure]:
    """Return why users got no message, or may have got none; the most frequent reason first."""
    sql = """
        SELECT position, state, reason, count(*)::int AS users, min(user_id::text) AS example
          FROM deliveries
         WHERE execution_id = %(id)s AND NOT is_test AND state = ANY(%(amiss)s)
         GROUP BY position, state, reason
         ORDER BY users DESC, position, state, reason
         LIMIT %(limit)s
    """
    return fetch_all(
        connection, sql, {"id": execution_id, "amiss": list(AMISS), "limit": limit}, make=Failure
    )


def select_failed_tokens(connection: Connection, execution_id: str, limit: int) -> list[str]:
    """Return the registered tokens by which users of the execution could not be reached.

    For a user with several devices: the dead one if a dead token was the reason, else the newest.
    """
    sql = """
        SELECT DISTINCT ON (f.user_id) v.token
          FROM deliveries f
          JOIN devices v ON v.user_id = f.user_id
         WHERE f.execution_id = %(id)s AND NOT f.is_test
           AND f.state IN ('failed', 'token_dead')
         ORDER BY f.user_id, (v.dead_at IS NOT NULL) = (f.state = 'token_dead') DESC,
                  v.last_seen_at DESC, v.token
         LIMIT %(limit)s
    """
    return fetch_values(connection, sql, {"id": execution_id, "limit": limit})


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """The deliveries of a user that a list shows; `since` is included, and `until` is not."""

    execution_id: str | None = None
    modes: Collection[Mode] = frozenset(Mode)
    states: Collection[LedgerState] = frozenset(LedgerState)
    since: datetime | None = None
    until: datetime | None = None


def select_deliveries_of(
    connection: Connection,
    user_id: UUID,
    fitting: DeliveryFilter,
    before: tuple[datetime, str] | None,
    limit: int,
) -> list[UserDelivery]:
    """Return the user's deliveries that fit, newest first; the page after `before`."""
    at, entry = before or (None, None)
    sql = """
        SELECT * FROM (
        SELECT d.execution_id, e.automation_id, e.automation_name, e.mode, d.position,
               d.is_test, d.user_id, d.state, d.reason, d.provider_id, d.variant,
               d.was_in_doubt, d.claimed_at, d.settled_at,
               d.state = 'deferred' AND d.tries = 0 AS is_waiting,
               e.snapshot -> 'pushSequence' AS pushes,
               concat_ws('/', d.execution_id, d.position, d.is_test) AS entry
          FROM deliveries d
          JOIN executions e ON e.id = d.execution_id
         WHERE d.user_id = %(user)s
           AND (%(execution_id)s::text IS NULL OR d.execution_id = %(execution_id)s)
           AND e.mode = ANY(%(modes)s) AND d.state = ANY(%(states)s)
           AND (%(since)s::timestamptz IS NULL OR d.claimed_at >= %(since)s)
           AND (%(until)s::timestamptz IS NULL OR d.claimed_at < %(until)s)) found
         WHERE %(at)s::timestamptz IS NULL
            OR (claimed_at, entry) < (%(at)s::timestamptz, %(entry)s)
         ORDER BY claimed_at DESC, entry DESC
         LIMIT %(limit)s
    """
    values = {
        "user": user_id,
        "execution_id": fitting.execution_id,
        "modes": list(fitting.modes),
        "states": list(fitting.states),
        "since": fitting.since,
        "until": fitting.until,
        "at": at,
        "entry": entry,
        "limit": limit,
    }
    return fetch_all(connection, sql, values, make=_make_user_delivery, by_name=True)


def _make_user_delivery(
    *, position: int, pushes: Sequence[Mapping[str, Any]], **columns: Any
) -> UserDelivery:
    push = pick_push(pushes, position)
    texts = {"title": push["title"], "body": push["body"], "layer_id": push["layerId"]}
    return UserDelivery(position=position, **texts, **columns)
