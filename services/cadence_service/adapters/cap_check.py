"""The cap check: which users have no room for one more send, asked for all at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cadence_service.adapters import id_arrays as id_arrays  # lets UserIds be sent as a uuid[]
from cadence_service.adapters.partitions import partition_name
from cadence_service.domain.cadence import CadenceRule
from cadence_service.domain.user_ids import UserIds
from chassis.postgres import BulkConnection

#: A probe of the index costs about as much as merging so many rows of history.
ROWS_A_PROBE: Final = 12
#: How much room a row of history takes up, where PostgreSQL has counted none yet.
BYTES_A_ROW: Final = 85
#: What stands for a user with later sends, whom only the pure rule can judge.
_UNCLEAR: Final = -1


@dataclass(frozen=True, slots=True)
class CapQuestion:
    """Who is asked about, by which rules, for a send at which instant.

    Shape: what the reservation `own_reservation` holds itself is left out; sends from `until` on,
    if that is given, instead of from the longest window after `at` on.
    """

    users: UserIds
    rules: Sequence[CadenceRule]
    at: datetime
    own_reservation: int = 0
    until: datetime | None = None

    @property
    def start(self) -> datetime:
        """The instant after which sends may count."""
        return self.at - max(rule.window for rule in self.rules)

    @property
    def end(self) -> datetime:
        """The instant before which sends may count."""
        return self.until or self.at + (self.at - self.start)

    @property
    def layers(self) -> list[int]:
        """The layers whose sends may count."""
        return sorted(set().union(*(rule.counted_layers for rule in self.rules)))

    def parameters(self) -> dict[str, Any]:
        """Return what statements about this question are given."""
        given: dict[str, Any] = {
            "users": self.users,
            "first_user": self.users.uuid(0),
            "last_user": self.users.uuid(-1),
            "at": self.at,
            "from": self.start,
            "until": self.end,
            "layers": self.layers,
            "own_reservation": self.own_reservation,
        }
        for number, rule in enumerate(self.rules):
            given[f"layers_{number}"] = sorted(rule.counted_layers)
            given[f"from_{number}"] = self.at - rule.window
            given[f"window_{number}"] = rule.window
            given[f"max_{number}"] = rule.max_count
            given[f"name_{number}"] = rule.name
        return given


@dataclass(frozen=True, slots=True)
class Suspects:
    """Users who may break a rule, by their index among those who were asked for.

    Shape: `blocked` has, for each rule, who is held back by it and by none before it; `unclear`
    are users with later sends, whom only the pure rule can judge. All in ascending order.
    """

    blocked: Sequence[NDArray[np.int64]]
    unclear: NDArray[np.int64]


def find_suspects(connection: BulkConnection, question: CapQuestion) -> Suspects:
    """Return who may break a rule; one statement for all."""
    rules, parameters = question.rules, question.parameters()
    plan = choose_plan(connection, question)
    full = [is_full(number) for number in range(len(rules))]
    whens = " ".join(f"WHEN {text} THEN {number}" for number, text in enumerate(full))
    row = connection.execute(
        f"""
        SELECT string_agg(int8send(position) || int2send(verdict::int2), ''::bytea)
          FROM (SELECT position,
                       CASE WHEN bool_or(sent_at > %(at)s) THEN {_UNCLEAR} {whens} END AS verdict
                  FROM ({counted_sends(plan)}) AS sends
                 GROUP BY position
                HAVING bool_or(sent_at > %(at)s) OR {" OR ".join(full)}) AS suspects
        """,  # noqa: S608 - made of constants and numbers; every value is a parameter
        parameters,
    ).fetchone()
    found = np.frombuffer(
        (row[0] if row else None) or b"", dtype=[("position", ">i8"), ("verdict", ">i2")]
    )
    found = np.sort(found, order="position")
    positions = found["position"].astype(np.int64) - 1
    return Suspects(
        blocked=[positions[found["verdict"] == number] for number in range(len(rules))],
        unclear=positions[found["verdict"] == _UNCLEAR],
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """How the sends of users are looked up: merged with their index, or probed one by one.

    Shape: `has_holds` says whether any running reservation may hold slots that count.
    """

    merges: bool
    has_holds: bool


def counts_for(number: int) -> str:
    """Return the condition for a send to use up the cap of the rule of this number."""
    return (
        f"layer_id = ANY(%(layers_{number})s::smallint[]) AND sent_at <= %(at)s"
        f" AND sent_at > %(from_{number})s"
    )


def is_full(number: int) -> str:
    """Return the condition for the rule of this number to have no room left."""
    return f"count(*) FILTER (WHERE {counts_for(number)}) >= %(max_{number})s"


def counted_sends(plan: Plan) -> str:
    """Return the query of all sends that may count: (position, user_id, layer_id, sent_at)."""
    recorded, held = _MERGED if plan.merges else _PROBED
    return f"{recorded} UNION ALL {held}" if plan.has_holds else recorded


_ASKED: Final = "unnest(%(users)s::uuid[]) WITH ORDINALITY a (user_id, position)"
_IN_TIME: Final = """
    n.sent_at > %(from)s AND n.sent_at < %(until)s AND n.layer_id = ANY(%(layers)s::smallint[])
"""
_HOLDS: Final = """
    r.state = 'reserved' AND r.expires_at > clock_timestamp()
    AND r.scheduled_for > %(from)s AND r.scheduled_for < %(until)s
    AND r.layer_id = ANY(%(layers)s::smallint[]) AND r.id <> %(own_reservation)s
"""
# The range lets a merge read no more of an index than it must.
_MERGED: Final = (
    f"""
    SELECT a.position, a.user_id, n.layer_id, n.sent_at
      FROM {_ASKED}
      JOIN user_notifications n ON n.user_id = a.user_id
           AND n.user_id BETWEEN %(first_user)s AND %(last_user)s
     WHERE {_IN_TIME}
    """,  # noqa: S608 - made of constants
    f"""
    SELECT a.position, a.user_id, r.layer_id, r.scheduled_for
      FROM {_ASKED}
      JOIN held_slots h ON h.user_id = a.user_id
           AND h.user_id BETWEEN %(first_user)s AND %(last_user)s
      JOIN reservations r ON r.id = h.reservation_id
     WHERE {_HOLDS}
    """,  # noqa: S608 - made of constants
)
# OFFSET 0 keeps PostgreSQL to it: user by user, even where a new week's rows are not counted yet.
_PROBED: Final = (
    f"""
    SELECT a.position, a.user_id, n.layer_id, n.sent_at
      FROM {_ASKED}
     CROSS JOIN LATERAL (SELECT n.layer_id, n.sent_at FROM user_notifications n
                          WHERE n.user_id = a.user_id AND {_IN_TIME} OFFSET 0) n
    """,  # noqa: S608 - made of constants
    f"""
    SELECT a.position, a.user_id, r.layer_id, r.scheduled_for
      FROM {_ASKED}
     CROSS JOIN LATERAL (SELECT h.reservation_id FROM held_slots h
                          WHERE h.user_id = a.user_id OFFSET 0) h
     CROSS JOIN LATERAL (SELECT r.layer_id, r.scheduled_for FROM reservations r
                          WHERE r.id = h.reservation_id AND {_HOLDS} OFFSET 0) r
    """,  # noqa: S608 - made of constants
)


def choose_plan(connection: BulkConnection, question: CapQuestion) -> Plan:
    """Let the next statements probe the index for each id, or, for very many, merge with it.

    PostgreSQL knows nothing of an array's ids and would hash the whole history for a few of them.
    It counts rows now and then only, so how many there are is told by the room that they take up.
    """
    row = connection.execute(
        """
        SELECT merges, has_holds,
               set_config('enable_hashjoin', 'off', true),
               set_config('join_collapse_limit', '1', true),  -- from users to slots to reservations
               set_config('enable_mergejoin', merges::text, true),
               set_config('enable_nestloop', (NOT merges)::text, true)
          FROM (SELECT %(asked)s::float8 * %(rows_a_probe)s > %(spread)s::float8
                       * coalesce(sum(pg_relation_size(c.oid) / coalesce(
                             nullif(c.relpages, 0) * current_setting('block_size')::float8
                             / nullif(greatest(c.reltuples, 0), 0), %(bytes_a_row)s)), 0)
                       AS merges
                  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                 WHERE i.inhparent = 'user_notifications'::regclass
                   AND c.relname BETWEEN %(first)s AND %(last)s) AS plan,
               (SELECT EXISTS (SELECT 1 FROM reservations
                                WHERE state = 'reserved' AND expires_at > clock_timestamp()
                                  AND scheduled_for > %(from)s AND scheduled_for < %(until)s
                                  AND layer_id = ANY(%(layers)s::smallint[])
                                  AND id <> %(own_reservation)s) AS has_holds) AS holds
        """,
        {
            "asked": len(question.users),
            "rows_a_probe": ROWS_A_PROBE,
            "bytes_a_row": BYTES_A_ROW,
            "spread": question.users.spread,
            "first": partition_name(question.start),
            "last": partition_name(question.end),
            "from": question.start,
            "until": question.end,
            "layers": question.layers,
            "own_reservation": question.own_reservation,
        },
    ).fetchone()
    return Plan(*(row[:2] if row else (False, True)))
