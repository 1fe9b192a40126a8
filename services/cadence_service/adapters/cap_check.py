"""The cap check: finds the users who have no room for one more send, all at once."""

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
from chassis.rows import fetch_one, fetch_value

#: A probe of the index costs about as much as merging this many rows of history.
ROWS_A_PROBE: Final = 12
#: The size of a row of history, where PostgreSQL has counted no rows yet.
BYTES_A_ROW: Final = 85
#: Marks a user with later sends, who needs the pure rule.
_UNCLEAR: Final = -1


@dataclass(frozen=True, slots=True)
class CapQuestion:
    """May these users get one more send at this instant, by these rules?

    Shape: slots of the reservation `own_reservation` do not count. Sends from `until` on do not
    count either; the default of `until` is the longest window after `at`.
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
        """Return the parameters of a statement about this question."""
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
    """Users who may break a rule, by their index among the users of the question.

    Shape: `blocked` has, for each rule, the users who break it and no rule before it; `unclear`
    are users with later sends, who need the pure rule. All are in ascending order.
    """

    blocked: Sequence[NDArray[np.int64]]
    unclear: NDArray[np.int64]


def find_suspects(connection: BulkConnection, question: CapQuestion) -> Suspects:
    """Return who may break a rule, by one statement for all users."""
    rules, parameters = question.rules, question.parameters()
    plan = choose_plan(connection, question)
    full = [is_full(number) for number in range(len(rules))]
    whens = " ".join(f"WHEN {text} THEN {number}" for number, text in enumerate(full))
    sql = f"""
        SELECT string_agg(int8send(position) || int2send(verdict::int2), ''::bytea)
          FROM (SELECT position,
                       CASE WHEN bool_or(sent_at > %(at)s) THEN {_UNCLEAR} {whens} END AS verdict
                  FROM ({counted_sends(plan)}) AS sends
                 GROUP BY position
                HAVING bool_or(sent_at > %(at)s) OR {" OR ".join(full)}) AS suspects
    """  # noqa: S608 - made of constants and numbers; every value is a parameter
    raw = fetch_value(connection, sql, parameters)
    found = np.frombuffer(raw or b"", dtype=[("position", ">i8"), ("verdict", ">i2")])
    found = np.sort(found, order="position")
    positions = found["position"].astype(np.int64) - 1
    return Suspects(
        blocked=[positions[found["verdict"] == number] for number in range(len(rules))],
        unclear=positions[found["verdict"] == _UNCLEAR],
    )


@dataclass(frozen=True, slots=True)
class LookupPlan:
    """How to look up the sends of users: by a merge with the index, or user by user.

    Shape: `has_reserved` says whether a running reservation may hold slots that count.
    """

    merges: bool
    has_reserved: bool


def counts_for(number: int) -> str:
    """Return the condition for a send to use up the cap of the rule of this number."""
    return (
        f"layer_id = ANY(%(layers_{number})s::smallint[]) AND sent_at <= %(at)s"
        f" AND sent_at > %(from_{number})s"
    )


def is_full(number: int) -> str:
    """Return the condition for the rule of this number to have no room left."""
    return f"count(*) FILTER (WHERE {counts_for(number)}) >= %(max_{number})s"


def counted_sends(plan: LookupPlan) -> str:
    """Return the query of all sends that may count: (position, user_id, layer_id, sent_at)."""
    recorded, held = _MERGED if plan.merges else _PROBED
    return f"{recorded} UNION ALL {held}" if plan.has_reserved else recorded


_ASKED: Final = "unnest(%(users)s::uuid[]) WITH ORDINALITY a (user_id, position)"
_IN_TIME: Final = """
    n.sent_at > %(from)s AND n.sent_at < %(until)s AND n.layer_id = ANY(%(layers)s::smallint[])
"""
_RESERVED: Final = """
    r.state = 'reserved' AND r.expires_at > clock_timestamp()
    AND r.scheduled_for > %(from)s AND r.scheduled_for < %(until)s
    AND r.layer_id = ANY(%(layers)s::smallint[]) AND r.id <> %(own_reservation)s
"""
# With this range a merge reads only the part of an index that it needs.
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
     WHERE {_RESERVED}
    """,  # noqa: S608 - made of constants
)
# OFFSET 0 keeps this order: user by user, even if a new week's rows are not counted yet.
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
                          WHERE r.id = h.reservation_id AND {_RESERVED} OFFSET 0) r
    """,  # noqa: S608 - made of constants
)


def choose_plan(connection: BulkConnection, question: CapQuestion) -> LookupPlan:
    """Choose how the next statements look users up: each in the index, or very many by a merge.

    PostgreSQL knows nothing about the ids in an array, and would hash the whole history for a few
    ids. PostgreSQL counts rows only now and then, so their number is estimated from the table's
    size.
    """
    sql = """
        SELECT merges, has_reserved,
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
                                  AND id <> %(own_reservation)s) AS has_reserved) AS holds
    """
    values = {
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
    }
    row = fetch_one(connection, sql, values)
    return LookupPlan(*(row[:2] if row else (False, True)))
