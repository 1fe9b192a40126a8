"""The counts that comparisons are made of: of each execution, since the texts last changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from chassis.postgres import Connection
from chassis.rows import fetch_all
from push_blaster.adapters.engagement.result_table import (
    COUNTERS,
    IS_OPEN,
    ResultFilter,
    name_values,
)
from push_blaster.domain.engagement.comparison import Stratum
from push_blaster.domain.engagement.results import OWN_HOLDOUT, OWN_TEXTS


class StrataKey(StrEnum):
    """What strata are of; the values are columns of `result_pushes`."""

    AUTOMATION = "automation_id"
    EXECUTION = "execution_id"


def _find_newest(key: StrataKey) -> str:
    """Return the SQL of the pushes whose texts and goal are the newest of their `key`."""
    return f"""
    newest AS (
      SELECT * FROM (
             SELECT r.*, coalesce(r.first_number, r.execution_number) AS stratum,
                    {IS_OPEN} AS is_open,
                    first_value(r.texts_digest) OVER texts AS newest_texts,
                    first_value(r.goal_name) OVER goals AS newest_goal
               FROM ({COUNTERS}) r
              WHERE r.{key} = ANY(%(names)s)
             WINDOW texts AS (PARTITION BY r.{key}, r.push_id ORDER BY r.execution_number DESC),
                    goals AS (PARTITION BY r.{key} ORDER BY r.execution_number DESC)) all_
       WHERE texts_digest = newest_texts)
    """  # noqa: S608 - constants


def select_uplift_strata(
    connection: Connection,
    asked: ResultFilter,
    key: StrataKey,
    names: Sequence[str],
    now: datetime,
) -> dict[str, list[Stratum]]:
    """Return who converted in the automation's holdout (A) and of the others (B).

    Shape: by the automations or executions of these `names`. An execution that resumes a stopped
    one is one stratum with it.
    """
    sums = ", ".join(
        f"coalesce(sum({name}) FILTER (WHERE variant {arm}), 0)::int"
        for arm in (f"= {OWN_HOLDOUT}", f">= {OWN_TEXTS}")
        for name in ("first_assigned", "first_converted")
    )
    sql = f"""
        WITH {_find_newest(key)}
        SELECT {key}, {sums}, bool_or(is_open)
          FROM newest
         WHERE goal_name = newest_goal AND counted_at IS NOT NULL
         GROUP BY {key}, stratum
         ORDER BY {key}, stratum
    """  # noqa: S608 - constants
    found: dict[str, list[Stratum]] = {}
    for name, *counts in fetch_all(
        connection, sql, {**name_values(connection, asked, now), "names": list(names)}
    ):
        found.setdefault(name, []).append(Stratum(*counts))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantOpens:
    """How many users of the variants of a push could open it first in an execution, and did.

    Shape: `order` has the ids of all variants, in the order of the automation.
    """

    push_id: str
    order: Sequence[str]
    variants: Mapping[str, tuple[int, int]]
    is_open: bool


def select_variant_opens(
    connection: Connection, asked: ResultFilter, automation_id: str, now: datetime
) -> list[VariantOpens]:
    """Return the opens of the variants of an automation's pushes, by execution, in their order.

    Who was at risk is known when the push has ended; before, it is who was sent to, if the texts
    are new with this execution. Other executions are left out until then.
    """
    sql = f"""
        WITH {_find_newest(StrataKey.AUTOMATION)}
        SELECT push_id, min(variants), json_object_agg(variant, ARRAY[at_risk, opened]),
               bool_or(is_open)
          FROM (SELECT push_id, stratum, r.variants[r.variant] AS variant,
                       min(r.variants) AS variants, bool_or(is_open) AS is_open,
                       sum(first_opened) AS opened,
                       sum(CASE WHEN counted_at IS NULL THEN sent ELSE first_at_risk END)
                           AS at_risk
                  FROM newest r
                 WHERE r.variant > {OWN_TEXTS} AND (counted_at IS NOT NULL OR NOT EXISTS (
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
        {**name_values(connection, asked, now), "names": [automation_id]},
        make=lambda push_id, order, variants, is_open: VariantOpens(
            push_id=push_id,
            order=order,
            variants={name: (risk, opened) for name, (risk, opened) in variants.items()},
            is_open=is_open,
        ),
    )
