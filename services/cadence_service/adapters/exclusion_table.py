"""The table `reservation_exclusions`: the users that a reservation left out, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cadence_service.adapters.cap_check import (
    CapQuestion,
    choose_plan,
    counted_sends,
    counts_for,
    is_full,
)
from cadence_service.adapters.id_arrays import read_sent_ids
from cadence_service.domain.user_ids import UserIds
from chassis.postgres import BulkConnection
from chassis.rows import fetch_all, fetch_value


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Why a user is capped: the rule, the sends that used up its cap, and until when."""

    user_id: UUID
    rule: str
    counted_sends: tuple[datetime, ...]
    next_eligible_at: datetime


def insert_found(
    connection: BulkConnection, reservation_id: int, part: int, question: CapQuestion
) -> UserIds:
    """Record why users of the question are capped; return these users.

    Shape: the question looks at all later sends, too. Left out are users who have become free
    meanwhile, and users with sends after the instant of the reservation. For all other users, a
    full rule has room again when the oldest send that matters leaves its window, and a user is free
    when every rule has room.
    """
    if not len(question.users):
        return question.users
    plan = choose_plan(connection, question)
    numbers = range(len(question.rules))
    rule = " ".join(f"WHEN {is_full(n)} THEN %(name_{n})s" for n in numbers)
    counted = " ".join(f"WHEN {is_full(n)} THEN {_counted(n, 'ASC')}" for n in numbers)
    freed = ", ".join(f"({_counted(n, 'DESC')})[%(max_{n})s] + %(window_{n})s" for n in numbers)
    sql = f"""
        WITH found AS (
          INSERT INTO reservation_exclusions (reservation_id, part, user_id, rule, counted_sends,
                                              next_eligible_at)
          SELECT %(id)s, %(part)s, user_id, CASE {rule} END, CASE {counted} END, greatest({freed})
            FROM ({counted_sends(plan)}) AS sends
           GROUP BY user_id
          HAVING NOT bool_or(sent_at > %(at)s) AND ({" OR ".join(is_full(n) for n in numbers)})
          RETURNING user_id)
        SELECT string_agg(uuid_send(user_id), ''::bytea) FROM found
    """  # noqa: S608 - made of constants and numbers; every value is a parameter
    raw = fetch_value(connection, sql, question.parameters() | {"id": reservation_id, "part": part})
    return read_sent_ids(raw)


def insert_judged(
    connection: BulkConnection, reservation_id: int, part: int, exclusions: Sequence[Exclusion]
) -> None:
    """Record exclusions that the pure rule found."""
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO reservation_exclusions (reservation_id, part, user_id, rule,
                                                counted_sends, next_eligible_at)
            VALUES (%s, %s, %s, %s, %s::timestamptz[], %s)
            """,
            [
                (reservation_id, part, e.user_id, e.rule, list(e.counted_sends), e.next_eligible_at)
                for e in exclusions
            ],
        )


def select_excluded(
    connection: BulkConnection, reservation_id: int, part: int
) -> dict[str, UserIds]:
    """Return the capped users of a part, by rule."""
    sql = """
        SELECT rule, string_agg(uuid_send(user_id), ''::bytea) FROM reservation_exclusions
         WHERE reservation_id = %(id)s AND part = %(part)s GROUP BY rule
    """
    rows = fetch_all(connection, sql, {"id": reservation_id, "part": part})
    return {rule: read_sent_ids(raw) for rule, raw in rows}


def select_exclusions(connection: BulkConnection, reservation_id: int) -> list[Exclusion]:
    """Return every capped user, and why, in the order of users."""
    sql = """
        SELECT user_id, rule, counted_sends, next_eligible_at FROM reservation_exclusions
         WHERE reservation_id = %(id)s
         ORDER BY user_id
    """
    return fetch_all(
        connection,
        sql,
        {"id": reservation_id},
        make=lambda user, rule, sends, at: Exclusion(user, rule, tuple(sends), at),
    )


def _counted(number: int, order: str) -> str:
    """Return the sends that use up the cap of the rule of this number, in order of time."""
    return f"array_agg(sent_at ORDER BY sent_at {order}) FILTER (WHERE {counts_for(number)})"
