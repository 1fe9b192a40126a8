"""The table `opt_outs`: which users do not want which pushes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from chassis.postgres import Connection
from chassis.rows import array_of, execute, fetch_all, fetch_value
from push_blaster.adapters.devices.erased_users import delete_erased, is_erased
from push_blaster.domain.devices.opt_out import OptOut, Scope, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOutFilter:
    """Which opt-outs a list has; those that have ended are left out."""

    user_id: UUID | None = None
    scope: Scope | None = None
    target: str | None = None


def upsert_opt_outs(connection: Connection, opt_outs: Sequence[OptOut]) -> int:
    """Write opt-outs; return how many were new or changed anything. Safe to repeat.

    An opt-out of the same pushes replaces the one before. If it comes twice, the last one counts.
    An erased user has opted out of all pushes already, and nothing is written.
    """
    if not opt_outs:
        return 0
    sql = f"""
        INSERT INTO opt_outs AS o (user_id, scope, target, until, reason, source, set_at, set_by)
        SELECT DISTINCT ON (user_id, scope, target)
               user_id, scope, target, until, reason, source, set_at, set_by
          FROM unnest(%(user_id)s::uuid[], %(scope)s::text[], %(target)s::text[],
                      %(until)s::timestamptz[], %(reason)s::text[], %(source)s::text[],
                      %(set_at)s::timestamptz[], %(set_by)s::text[])
               WITH ORDINALITY AS v (user_id, scope, target, until, reason, source, set_at, set_by,
                                     number)
         WHERE NOT {is_erased("user_id")}
         ORDER BY user_id, scope, target, number DESC
            ON CONFLICT (user_id, scope, target) DO UPDATE
           SET until = EXCLUDED.until, reason = EXCLUDED.reason, source = EXCLUDED.source,
               set_at = EXCLUDED.set_at, set_by = EXCLUDED.set_by
         WHERE (o.until, o.reason) IS DISTINCT FROM (EXCLUDED.until, EXCLUDED.reason)
    """  # noqa: S608 - constants
    return execute(
        connection, sql, {name: [getattr(one, name) for one in opt_outs] for name in _COLUMNS}
    )


_COLUMNS: Final = ("user_id", "scope", "target", "until", "reason", "source", "set_at", "set_by")


def delete_opt_outs(
    connection: Connection, user_id: UUID, scope: Scope | None = None, target: str = ""
) -> int:
    """Delete a user's opt-out of these pushes, or every one; return how many there were.

    An erased user who opts in again comes back, and has nothing of before.
    """
    sql = """
        DELETE FROM opt_outs
         WHERE user_id = %(user)s
           AND (%(scope)s IS NULL OR (scope, target) = (%(scope)s, %(target)s))
    """
    deleted = execute(connection, sql, {"user": user_id, "scope": scope, "target": target})
    is_all = scope in {None, Scope.ALL}
    return deleted + (delete_erased(connection, user_id) if is_all else 0)


def delete_ended_opt_outs(connection: Connection, before: datetime, limit: int) -> int:
    """Delete opt-outs that ended before then, at most `limit` of them; return how many."""
    sql = """
        DELETE FROM opt_outs
         WHERE ctid = ANY(ARRAY(SELECT ctid FROM opt_outs WHERE until < %(before)s LIMIT %(limit)s))
    """
    return execute(connection, sql, {"before": before, "limit": limit})


def select_opt_outs_of(
    connection: Connection, users: Sequence[UUID], now: datetime
) -> list[OptOut]:
    """Return all opt-outs of `users` that hold now, whichever pushes they are about.

    A user who was erased has opted out of all pushes for good.
    """
    sql = f"""
        SELECT user_id, scope, target, until, reason, source, set_at, set_by
          FROM opt_outs
         WHERE user_id = ANY(%(users)s::uuid[]) AND (until IS NULL OR until > %(now)s)
         UNION ALL
        SELECT u, '{Scope.ALL}', '', NULL, '', '{Source.ERASURE}', %(now)s, ''
          FROM unnest(%(users)s::uuid[]) u
         WHERE {is_erased("u")}
         ORDER BY user_id, scope, target
    """  # noqa: S608 - constants
    values = {"users": array_of(users), "now": now}
    return fetch_all(connection, sql, values, make=_make, by_name=True)


def select_opt_outs(
    connection: Connection,
    fitting: OptOutFilter,
    now: datetime,
    after: tuple[UUID, str] | None,
    limit: int,
) -> list[OptOut]:
    """Return opt-outs by user, scope and target, after a place `(user, scope/target)`."""
    sql = f"""
        SELECT user_id, scope, target, until, reason, source, set_at, set_by
          FROM opt_outs
         WHERE {_FITTING}
           AND (%(after_user)s::uuid IS NULL
                OR (user_id, scope || '/' || target) > (%(after_user)s, %(after_target)s))
         ORDER BY user_id, scope || '/' || target
         LIMIT %(limit)s
    """  # noqa: S608 - a constant
    after_user, after_target = after or (None, "")
    values = {**_values(fitting, now), "after_user": after_user, "after_target": after_target}
    return fetch_all(connection, sql, {**values, "limit": limit}, make=_make, by_name=True)


def count_opt_outs(connection: Connection, now: datetime) -> int:
    """Return how many opt-outs hold now."""
    sql = f"SELECT count(*) FROM opt_outs WHERE {_FITTING}"  # noqa: S608 - a constant
    return int(fetch_value(connection, sql, _values(OptOutFilter(), now)))


_FITTING: Final = """(until IS NULL OR until > %(now)s)
           AND (%(user)s::uuid IS NULL OR user_id = %(user)s)
           AND (%(scope)s::text IS NULL OR scope = %(scope)s)
           AND (%(target)s::text IS NULL OR target = %(target)s)"""


def _values(fitting: OptOutFilter, now: datetime) -> dict[str, object]:
    return {
        "now": now,
        "user": fitting.user_id,
        "scope": fitting.scope,
        "target": fitting.target,
    }


def _make(**columns: Any) -> OptOut:
    scope, source = Scope(columns["scope"]), Source(columns["source"])
    return OptOut(**{**columns, "scope": scope, "source": source})
