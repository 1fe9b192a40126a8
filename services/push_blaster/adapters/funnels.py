"""The funnels of pushes: the one source for lists, pages, metrics, alerts and receipts.

A funnel is counted from the batches of its push. A batch keeps its counts while nobody works on it.
Once a push has ended and its batches are done, its users do not change any more; then the engine
keeps the funnel with the push, in `execution_pushes.funnel`, so that it is never counted again.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg2.extras import Json

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_one, insert_many
from push_blaster.domain.delivery.ledger import LedgerCounts, LedgerPage
from push_blaster.domain.executions.funnel import COUNTS, JSON_NAMES, Funnel, count_funnel
from push_blaster.domain.executions.modes import Mode, is_test_only

#: How many funnels, and how many missing counts of batches, are kept in one transaction.
AT_ONCE: Final = 200
BATCHES_AT_ONCE: Final = 50
#: The names in JSON of the counts of a funnel.
STAGES: Final = tuple(JSON_NAMES[name] for name in COUNTS)


def _count_users(which: str) -> str:
    """Return the SQL that counts the users of a part of the ledger `d` by state, rule and variant.

    A user who awaits a send window, and was never tried, counts as `held`.
    """
    return f"""
        SELECT CASE WHEN d.state = 'deferred' AND d.tries = 0 THEN 'held' ELSE d.state END AS state,
               CASE WHEN d.state = 'held_back' THEN d.reason END AS rule, d.variant,
               count(*)::int AS users, (count(*) FILTER (WHERE d.was_in_doubt))::int AS doubtful
          FROM deliveries d
         WHERE {which}
         GROUP BY 1, 2, 3
    """  # noqa: S608 - constants of this module


_OF_BATCH: Final = _count_users(
    "d.execution_id = b.execution_id AND NOT d.is_test AND d.position = b.position"
    " AND d.batch = b.batch"
)
_TEST_MODES: Final = ", ".join(f"'{mode}'" for mode in Mode if is_test_only(mode))
_OF_TEST: Final = _count_users(
    "d.execution_id = p.execution_id AND d.is_test AND d.position = p.position"
    f" AND e.mode IN ({_TEST_MODES})"
)
#: The counts of the push `p` of the execution `e`; if its test is all that it does, of its test.
_OF_PUSH: Final = f"""
    SELECT state, rule, variant, sum(users)::int AS users, sum(doubtful)::int AS doubtful
      FROM (SELECT kept.*
              FROM send_batches b, jsonb_to_recordset(b.counts)
                   AS kept (state text, rule text, variant text, users int, doubtful int)
             WHERE b.execution_id = p.execution_id AND b.position = p.position
             UNION ALL
            SELECT counted.*
              FROM send_batches b, LATERAL ({_OF_BATCH}) counted
             WHERE b.execution_id = p.execution_id AND b.position = p.position
               AND b.counts IS NULL AND b.fence > 0
             UNION ALL
            {_OF_TEST}) parts
     GROUP BY 1, 2, 3
"""  # noqa: S608 - constants of this module

#: An expression: how many users the push `p` of the execution `e` was sent to.
SENT: Final = f"""
    coalesce((p.funnel ->> 'sent')::int,
             (SELECT sum(users)::int FROM ({_OF_PUSH}) one WHERE state = 'sent'), 0)
"""  # noqa: S608 - constants of this module

_SELECT: Final = f"""
    SELECT p.execution_id, p.position, p.funnel AS kept,
           p.generated, p.valid, p.distinct_users AS "distinct",
           e.mode, e.ended_at IS NOT NULL AS has_ended,
           CASE WHEN p.funnel IS NULL
                THEN (SELECT jsonb_agg(one) FROM ({_OF_PUSH}) one) END AS counted
      FROM executions e
      JOIN execution_pushes p ON p.execution_id = e.id
"""  # noqa: S608 - constants of this module


def keep_counts(connection: Connection, page: LedgerPage) -> None:
    """Keep the counts of a batch if nobody works on it: it is done, or deferred."""
    sql = f"""
        UPDATE send_batches b
           SET counts = (SELECT coalesce(jsonb_agg(c), '[]') FROM ({_OF_BATCH}) c)
         WHERE execution_id = %(execution_id)s AND position = %(position)s
           AND batch = %(batch)s AND (done_at IS NOT NULL OR handed_out_at IS NULL)
    """  # noqa: S608 - a constant
    execute(connection, sql, page._asdict())


def select_funnels(
    connection: Connection, execution_ids: Sequence[str]
) -> dict[str, dict[int, Funnel]]:
    """Return the present funnel of each push, by execution and by the position of the push.

    The funnel of a push that was removed meanwhile is empty.
    """
    which = "WHERE e.id = ANY(%(ids)s) ORDER BY p.position"
    found: dict[str, dict[int, Funnel]] = {id_: defaultdict(Funnel) for id_ in execution_ids}
    for push in _select(connection, which, ids=list(execution_ids)):
        found[push.execution_id][push.position] = push.funnel
    return found


def count_variant_users(connection: Connection, execution_id: str, position: int) -> dict[str, int]:
    """Return how many users of each variant have the message of a push, or may have it.

    The ledger is read only for the batches that somebody works on; the others keep their counts.
    """
    sql = f"""
        SELECT one.variant, sum(one.users)::int
          FROM executions e
          JOIN execution_pushes p ON p.execution_id = e.id
         CROSS JOIN LATERAL ({_OF_PUSH}) one
         WHERE e.id = %s AND p.position = %s
           AND one.variant IS NOT NULL AND one.state IN ('sent', 'in_doubt')
         GROUP BY one.variant
    """  # noqa: S608 - a constant
    return dict(fetch_all(connection, sql, (execution_id, position)))


def sum_funnels(
    connection: Connection,
    since: datetime,
    stages: Sequence[str] = STAGES,
    *,
    only_uncapped: bool = False,
    newest: int | None = None,
) -> Counter[str]:
    """Return the sums of the funnels of live pushes that go out now, or have ended since then.

    Shape: `stages` are names in JSON; `only_uncapped` counts only executions that went out
    unchecked. Of the pushes that may still change, only the `newest` are counted, if a number is
    given.
    """
    which = "e.mode = 'live' AND (e.uncapped_reason IS NOT NULL OR NOT %(uncapped)s)"
    sums = ", ".join(f"coalesce(sum((p.funnel ->> '{stage}')::int), 0)" for stage in stages)
    sql = f"""
        SELECT {sums}
          FROM executions e
          JOIN execution_pushes p ON p.execution_id = e.id
         WHERE {which} AND p.ended_at >= %(since)s AND p.funnel IS NOT NULL
    """  # noqa: S608 - constants
    values = {"since": since, "uncapped": only_uncapped, "newest": newest}
    kept = fetch_one(connection, sql, values) or ()
    total = Counter(dict(zip(stages, kept, strict=True)))
    which = f"""
         WHERE {which} AND p.funnel IS NULL AND p.started_at IS NOT NULL
           AND (p.ended_at IS NULL OR p.ended_at >= %(since)s)
         ORDER BY p.started_at DESC LIMIT %(newest)s
    """
    for push in _select(connection, which, **values):
        document = push.funnel.to_document()
        total.update({stage: document[stage] for stage in stages})
    return total


def keep_funnels(connection: Connection) -> int:
    """Keep the funnels of pushes that cannot change any more; return how many were kept."""
    _keep_missing_counts(connection)
    which = f"""
         WHERE p.funnel IS NULL AND p.started_at IS NOT NULL AND p.ended_at IS NOT NULL
           AND NOT EXISTS (SELECT FROM send_batches b
                            WHERE b.execution_id = p.execution_id AND b.position = p.position
                              AND (b.done_at IS NULL OR (b.fence > 0 AND b.counts IS NULL)))
         LIMIT {AT_ONCE}
    """
    found = [(*push[:2], Json(push.funnel.to_document())) for push in _select(connection, which)]
    sql = """
        UPDATE execution_pushes p
           SET funnel = kept.funnel
          FROM (VALUES %s) AS kept (execution_id, position, funnel)
         WHERE p.execution_id = kept.execution_id AND p.position = kept.position
    """
    insert_many(connection, sql, found, "(%s, %s, %s::jsonb)")
    return len(found)


def _keep_missing_counts(connection: Connection) -> None:
    """Keep the counts of some batches that an earlier version finished without them."""
    sql = f"""
        UPDATE send_batches b
           SET counts = (SELECT coalesce(jsonb_agg(c), '[]') FROM ({_OF_BATCH}) c)
         WHERE (execution_id, position, batch) IN (
               SELECT done.execution_id, done.position, done.batch
                 FROM execution_pushes p
                 JOIN send_batches done USING (execution_id, position)
                WHERE p.funnel IS NULL AND p.started_at IS NOT NULL AND p.ended_at IS NOT NULL
                  AND done.done_at IS NOT NULL AND done.fence > 0 AND done.counts IS NULL
                LIMIT {BATCHES_AT_ONCE})
    """  # noqa: S608 - constants
    execute(connection, sql)


class _PushFunnel(NamedTuple):
    execution_id: str
    position: int
    funnel: Funnel


def _select(connection: Connection, which: str, **values: object) -> list[_PushFunnel]:
    return fetch_all(connection, _SELECT + which, values, make=_make_funnel, by_name=True)


def _make_funnel(
    *,
    execution_id: str,
    position: int,
    kept: Mapping[str, Any] | None,
    counted: Sequence[Mapping[str, Any]] | None,
    mode: str,
    has_ended: bool,
    **sizes: int | None,
) -> _PushFunnel:
    if kept is not None:
        return _PushFunnel(execution_id, position, Funnel.from_document(kept))
    known = {name: size or 0 for name, size in sizes.items()}
    funnel = count_funnel(_add_up(counted or ()), **known, has_ended=has_ended)
    if is_test_only(Mode(mode)):
        funnel = replace(funnel, not_sent=0)  # a test is sent to nobody else
    return _PushFunnel(execution_id, position, funnel)


def _add_up(users: Sequence[Mapping[str, Any]]) -> LedgerCounts:
    states: Counter[str] = Counter()
    rules: Counter[str] = Counter()
    variants: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for some in users:
        states[some["state"]] += some["users"]
        if some["rule"] is not None:
            rules[some["rule"]] += some["users"]
        if some["variant"] is not None:
            variants[some["variant"]][some["state"]] += some["users"]
    doubtful = sum(some["doubtful"] for some in users)
    return LedgerCounts(states=states, rules=rules, variants=variants, ever_in_doubt=doubtful)
