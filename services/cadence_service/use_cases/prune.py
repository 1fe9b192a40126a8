"""Prune the history: drop whole weeks after their retention, unless a rule needs them."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from cadence_service.adapters.partitions import HISTORY
from cadence_service.adapters.reservation_table import end_expired
from cadence_service.adapters.retention import (
    delete_old_keys,
    delete_old_reservations,
    delete_slots_without_owner,
    delete_unused_messages,
    release_unsettled,
)
from cadence_service.adapters.rule_table import select_rule_set
from chassis.postgres import BulkConnection, BulkDatabase

#: For how long an expired reservation may be settled by naming the users who failed.
SETTLE_WITHIN: Final = timedelta(days=7)
#: Kept beyond the window of the longest rule.
MARGIN: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was dropped, or would be; everything before `kept_from` is past its retention.

    Shape: `weeks` of `weeks_in_all`; `slots` are reserved slots without a reservation; there should
    never be any.
    """

    kept_from: datetime
    weeks: tuple[str, ...]
    weeks_in_all: int
    notifications: int = 0
    keys: int = 0
    reservations: int = 0
    messages: int = 0
    slots: int = 0


def plan_pruning(connection: BulkConnection, keep: timedelta, now: datetime) -> Pruned:
    """Return what `prune` would drop: nothing in the window of an active rule.

    A short retention never drops a notification that still counts for a rule.
    """
    rule_set = select_rule_set(connection)
    windows = [rule.window for rule in (rule_set.rules if rule_set else ()) if rule.is_active]
    kept_from = now - max([keep, *(window + MARGIN for window in windows)])
    return Pruned(
        kept_from=kept_from,
        weeks=tuple(HISTORY.select_old_weeks(connection, kept_from)),
        weeks_in_all=len(HISTORY.select_weeks(connection)),
    )


def prune(database: BulkDatabase, keep: timedelta, now: datetime) -> Pruned:
    """Drop what is past its retention, a week a transaction, and make weeks ahead; repeatable.

    Returns: what this call dropped, beside another one, too.
    Raises: SchemaBusyError, if others use a week all the time.
    """
    with database.transaction() as connection:
        planned = plan_pruning(connection, keep, now)
    HISTORY.make_partitions(database, now, planned.kept_from)
    with database.transaction() as connection:
        end_expired(connection)
        release_unsettled(connection, now - SETTLE_WITHIN)
        slots = delete_slots_without_owner(connection)
    rows = {week: HISTORY.drop_week(database, week) for week in planned.weeks}
    dropped = {week: count for week, count in rows.items() if count is not None}
    with database.transaction() as connection:
        strays = HISTORY.delete_strays(connection, planned.kept_from)
        return replace(
            planned,
            weeks=tuple(dropped),
            notifications=sum(dropped.values()) + strays,
            keys=delete_old_keys(connection, planned.kept_from),
            reservations=delete_old_reservations(connection, planned.kept_from),
            messages=delete_unused_messages(connection),
            slots=slots,
        )
