"""The counts that comparisons are made of: of each execution, since the texts last changed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from chassis.postgres import Connection
from chassis.rows import fetch_all
from push_blaster.adapters.engagement.result_table import FITS, IS_OPEN, ResultFilter
from push_blaster.domain.engagement.comparison import Stratum
from push_blaster.domain.engagement.results import OWN_HOLDOUT, OWN_TEXTS, WINDOW

#: The pushes with the texts and the goal that are the newest among those that are asked for.
_NEWEST: Final = f"""
    newest AS (
      SELECT * FROM (
             SELECT r.*, coalesce(r.first_number, r.execution_number) AS stratum,
                    {IS_OPEN} AS is_open,
                    first_value(r.texts_digest) OVER texts AS newest_texts,
                    first_value(r.goal_name) OVER goals AS newest_goal
               FROM result_pushes r
              WHERE {FITS} AND r.automation_id = ANY(%(automations)s)
             WINDOW texts AS (PARTITION BY r.automation_id, r.push_id
                              ORDER BY r.execution_number DESC),
                    goals AS (PARTITION BY r.automation_id ORDER BY r.execution_number DESC)) all_
       WHERE texts_digest = newest_texts)
"""  # noqa: S608 - constants


def select_uplift_strata(
    connection: Connection,
    asked: ResultFilter,
    key: str,
    automation_ids: Sequence[str],
    now: datetime,
) -> dict[str, list[Stratum]]:
    """Return who converted in the automation's holdout (A) and of the others (B).

    Shape: by `key`, which is the column of the automation or of the execution. An execution that
    resumes a stopped one is one stratum with it.
    """
    sums = ", ".join(
        f"coalesce(sum(c.{name}) FILTER (WHERE c.variant {arm}), 0)::int"
        for arm in (f"= {OWN_HOLDOUT}", f">= {OWN_TEXTS}")
        for name in ("first_assigned", "first_converted")
    )
    sql = f"""
        WITH {_NEWEST}
        SELECT {key}, {sums}, bool_or(is_open)
          FROM newest
          JOIN result_counts c USING (execution_number, position)
         WHERE goal_name = newest_goal AND counted_at IS NOT NULL
         GROUP BY {key}, stratum
         ORDER BY {key}, stratum
    """  # noqa: S608 - constants, and our own names
    found: dict[str, list[Stratum]] = {}
    for name, *counts in fetch_all(connection, sql, _values(asked, automation_ids, now)):
        found.setdefault(name, []).append(Stratum(*counts))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantOpens:
    """How many users of the variants of a push could open it first in an execution, and did."""

    push_id: str
    variants: Mapping[str, tuple[int, int]]
    is_open: bool


def select_variant_opens(
    connection: Connection, asked: ResultFilter, automation_id: str, now: datetime
) -> list[VariantOpens]:
    """Return the opens of the variants of an automation's pushes, by execution.

    Who was at risk is known when the push has ended; before, it is who was sent to, if the texts
    are new with this execution. Other executions are left out until then.
    """
    sql = f"""
        WITH {_NEWEST}
        SELECT push_id, jsonb_object_agg(variant, ARRAY[at_risk, opened]), bool_or(is_open)
          FROM (SELECT push_id, stratum, r.variants[c.variant] AS variant,
                       bool_or(is_open) AS is_open, sum(c.first_opened) AS opened,
                       sum(CASE WHEN counted_at IS NULL THEN c.sent ELSE c.first_at_risk END)
                           AS at_risk
                  FROM newest r
                  JOIN result_counts c USING (execution_number, position)
                 WHERE c.variant > {OWN_TEXTS} AND (counted_at IS NOT NULL OR NOT EXISTS (
                       SELECT FROM result_pushes b
                        WHERE b.automation_id = r.automation_id AND b.push_id = r.push_id
                          AND b.texts_digest = r.texts_digest AND b.is_counted
                          AND b.execution_number < r.execution_number))
                 GROUP BY push_id, stratum, 3) arms
         GROUP BY push_id, stratum
         ORDER BY push_id, stratum
    """  # noqa: S608 - constants
    return fetch_all(
        connection,
        sql,
        _values(asked, [automation_id], now),
        make=lambda push_id, variants, is_open: VariantOpens(
            push_id=push_id,
            variants={name: (risk, opened) for name, (risk, opened) in variants.items()},
            is_open=is_open,
        ),
    )


def _values(asked: ResultFilter, automation_ids: Sequence[str], now: datetime) -> dict[str, object]:
    return {**asdict(asked), "automations": list(automation_ids), "now": now, "window": WINDOW}
