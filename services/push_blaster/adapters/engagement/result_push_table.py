"""The table `result_pushes`: the pushes that began, with what their results are counted by.

A row stays when its execution is removed: results outlive executions. It goes with its counters.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Final, NamedTuple

import orjson

from chassis.postgres import Connection
from chassis.rows import fetch_value, insert_many
from push_blaster.domain.automations.automation import Push
from push_blaster.domain.automations.content import PLAIN
from push_blaster.domain.automations.experiment import Variant
from push_blaster.domain.executions.execution import Execution
from push_blaster.domain.executions.modes import Mode

_HOUR: Final = timedelta(hours=1)


class ResultPush(NamedTuple):
    """A push of an execution that begins, and the instant from which it goes out."""

    execution: Execution
    position: int
    sent_at: datetime


def insert_result_pushes(connection: Connection, pushes: Sequence[ResultPush]) -> None:
    """Write down pushes that begin; a push that was written down before stays as it is."""
    sql = """
        INSERT INTO result_pushes (execution_number, position, execution_id, automation_id,
                                   automation_name, push_id, layer_id, mode, is_counted, variants,
                                   texts_digest, zone, goal_name, goal_hours, sent_at, week)
        VALUES %s
            ON CONFLICT DO NOTHING
    """
    insert_many(connection, sql, [_row(*push) for push in pushes])


def count_old_results(connection: Connection, before: datetime) -> int:
    """Return how many pushes were sent before then."""
    sql = "SELECT count(*) FROM result_pushes WHERE sent_at < %s"
    return int(fetch_value(connection, sql, (before,)))


def delete_old_results(connection: Connection, before: datetime, limit: int) -> int:
    """Delete some pushes that were sent before then, with their counters; return how many."""
    sql = """
        WITH old AS (
          DELETE FROM result_pushes WHERE ctid = ANY(ARRAY(
                 SELECT ctid FROM result_pushes WHERE sent_at < %(before)s LIMIT %(limit)s))
          RETURNING execution_number, position),
        counters AS (
          DELETE FROM result_counts c USING old
           WHERE c.execution_number = old.execution_number AND c.position = old.position),
        looked_at AS (
          DELETE FROM attributed_executions a USING old
           WHERE a.execution_number = old.execution_number AND old.position = 1)
        SELECT count(*) FROM old
    """
    return int(fetch_value(connection, sql, {"before": before, "limit": limit}))


def digest_texts(push: Push) -> str:
    """Return the digest of all texts of a push: with other texts, comparisons begin anew."""
    texts = [(one.id, one.title, one.body, one.deep_link, *_image(one)) for one in push.variants]
    content = [] if push.content == PLAIN else [asdict(push.content)]
    said = orjson.dumps([push.title, push.body, push.deep_link, texts, *content], default=str)
    return sha256(said).hexdigest()[:32]


def _image(variant: Variant) -> list[str]:
    return [] if variant.image_url is None else [variant.image_url]


def _row(execution: Execution, position: int, sent_at: datetime) -> tuple[object, ...]:
    automation = execution.automation
    push, goal = automation.pushes[position - 1], automation.settings.goal
    return (
        execution.number,
        position,
        execution.id,
        automation.id,
        automation.name,
        push.id,
        push.layer_id,
        execution.mode,
        execution.mode is Mode.LIVE,
        [variant.id for variant in push.variants],
        digest_texts(push),
        automation.schedule.timezone,
        goal.name if goal else None,
        goal.within // _HOUR if goal else None,
        sent_at,
        _week(sent_at),
    )


def _week(instant: datetime) -> date:
    """Return the Monday of the week, in UTC."""
    day = instant.astimezone(UTC).date()
    return day - timedelta(days=day.weekday())
