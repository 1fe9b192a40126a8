"""The table `user_notifications`: every notification that every user got, or has reserved."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from cadence_service.adapters.partitions import partition_name
from cadence_service.domain.cadence import CadenceRule, Send
from chassis.postgres import Connection

#: A row counts if it was sent, or is held by a reservation that has neither ended nor run out.
COUNTS: Final = """
    (n.state = 1 OR n.reservation_id IN (
        SELECT id FROM reservations WHERE state = 'reserved' AND expires_at > clock_timestamp()))
"""


#: A probe of the index costs about as much as merging so many rows of history.
ROWS_A_PROBE: Final = 12


@dataclass(frozen=True, slots=True)
class Suspects:
    """Users who may break a rule, by their position in the list that was asked.

    Shape: `blocked` maps a position to the number of the first rule that is full at the instant
    asked; `unclear` are positions of users with later sends, whom only the pure rule can judge.
    """

    blocked: dict[int, int]
    unclear: list[int]


def find_suspects(
    connection: Connection, user_ids: Sequence[str], rules: Sequence[CadenceRule], at: datetime
) -> Suspects:
    """Return who of `user_ids` may break one of `rules` by a send at `at`; one statement for all.

    Shape: canonical UUID texts, each once; in order they are found fastest.
    """
    longest = max(rule.window for rule in rules)
    _choose_plan(connection, len(user_ids), at - longest, at + longest)
    parameters: dict[str, Any] = {
        "ids": "{" + ",".join(user_ids) + "}",
        "at": at,
        "from": at - longest,
        "until": at + longest,
        "layers": sorted(set().union(*(rule.counted_layers for rule in rules))),
    }
    full = []
    for number, rule in enumerate(rules):
        parameters[f"layers_{number}"] = sorted(rule.counted_layers)
        parameters[f"from_{number}"] = at - rule.window
        parameters[f"max_{number}"] = rule.max_count
        full.append(
            f"count(*) FILTER (WHERE n.layer_id = ANY(%(layers_{number})s) AND n.sent_at <= %(at)s"
            f" AND n.sent_at > %(from_{number})s) >= %(max_{number})s"
        )
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT a.position, ARRAY[{", ".join(full)}], bool_or(n.sent_at > %(at)s)
              FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY a (user_id, position)
              JOIN user_notifications n ON n.user_id = a.user_id
             WHERE n.sent_at > %(from)s AND n.sent_at < %(until)s
               AND n.layer_id = ANY(%(layers)s) AND {COUNTS}
             GROUP BY a.position
            HAVING bool_or(n.sent_at > %(at)s) OR {" OR ".join(full)}
            """,  # noqa: S608 - made of constants and numbers; every value is a parameter
            parameters,
        )
        rows = cursor.fetchall()
    return Suspects(
        blocked={position - 1: broken.index(True) for position, broken, later in rows if not later},
        unclear=[position - 1 for position, _, later in rows if later],
    )


def _choose_plan(connection: Connection, asked: int, start: datetime, end: datetime) -> None:
    """Let the next statements probe the index for each id, or, for very many, merge with it.

    PostgreSQL knows nothing of an array's ids and would hash the whole history for a few of them.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)
              FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = 'user_notifications'::regclass
               AND c.relname BETWEEN %(first)s AND %(last)s
            """,
            {
                "first": partition_name(start),
                "last": partition_name(end),
            },
        )
        row = cursor.fetchone()
        is_dense = asked > (row[0] if row else 0) / ROWS_A_PROBE
        cursor.execute(
            "SELECT set_config('enable_hashjoin', 'off', true),"
            " set_config('enable_mergejoin', %(merge)s, true),"
            " set_config('enable_nestloop', %(probe)s, true)",
            {"merge": "on" if is_dense else "off", "probe": "off" if is_dense else "on"},
        )


def select_sends(
    connection: Connection, user_ids: Sequence[str], at: datetime, around: timedelta
) -> dict[UUID, list[Send]]:
    """Return the sends of each of `user_ids` that lie less than `around` from `at`."""
    sends: dict[UUID, list[Send]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT n.user_id, n.layer_id, n.sent_at
              FROM user_notifications n
             WHERE n.user_id = ANY(%(ids)s::uuid[])
               AND n.sent_at > %(from)s AND n.sent_at < %(until)s AND {COUNTS}
            """,  # noqa: S608 - a constant
            {
                "ids": "{" + ",".join(user_ids) + "}",
                "from": at - around,
                "until": at + around,
            },
        )
        for user_id, layer_id, sent_at in cursor:
            sends.setdefault(user_id, []).append(Send(layer_id, sent_at))
    return sends


def stream_history(
    connection: Connection, start: datetime, end: datetime, share: float
) -> Iterator[tuple[UUID, int, datetime]]:
    """Yield (user, layer, instant) of what was sent from `start` to before `end`.

    Shape: by user, then by instant; a `share` below 1 takes that part of the users, always the
    same ones.
    """
    with connection.cursor("history") as cursor:
        cursor.itersize = 20_000
        cursor.execute(
            """
            SELECT user_id, layer_id, sent_at
              FROM user_notifications
             WHERE state = 1 AND sent_at >= %(start)s AND sent_at < %(end)s
               AND (hashtextextended(user_id::text, 0) & 65535) < %(share)s * 65536
             ORDER BY user_id, sent_at, layer_id
            """,
            {"start": start, "end": end, "share": share},
        )
        yield from cursor
