"""The table `doubted_devices`: devices that providers called dead and that are not marked as dead.

A device is reported in the transaction that settles its message. When the batch has ended, its
outcomes decide: the device is marked as dead, or it is doubted and an operator decides. A device
that registered with another project is reported, too, and always doubted.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_one, fetch_value, fetch_values
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.devices.device import MISPLACED, Address, DeadDevice

DeadByInstant = Mapping[datetime, Sequence[DeadDevice]]

#: Such a device is doubted, whatever the other outcomes of its batch are.
_OF_OTHER_PROJECT: Final = (
    "reason LIKE ANY (ARRAY[" + ", ".join(f"'___ {sign}%%'" for sign in MISPLACED) + "])"
)
_ON_PAGE: Final = """execution_id = %(execution_id)s AND position = %(position)s
           AND is_test = %(is_test)s AND batch = %(batch)s"""


class Verdict(NamedTuple):
    """How many users of some batches have an outcome, and how many of them a dead device."""

    dead: int
    outcomes: int


def insert_reported(
    connection: Connection, page: LedgerPage, dead: Sequence[DeadDevice], now: datetime
) -> None:
    """Record devices that were called dead, of users whose messages are still claimed.

    A device that its provider calls dead since an instant lives if it was registered after that.
    """
    sql = """
        INSERT INTO doubted_devices (execution_id, position, is_test, batch, token, user_id, kind,
                                     reason, doubted_at, is_doubted)
        SELECT DISTINCT ON (token) d.execution_id, d.position, d.is_test, d.batch, v.token,
               v.user_id, v.kind, v.reason, least(v.since, %(now)s), false
          FROM unnest(%(tokens)s::text[], %(users)s::uuid[], %(kinds)s::text[],
                      %(reasons)s::text[], %(since)s::timestamptz[])
               AS v (token, user_id, kind, reason, since)
          JOIN deliveries d ON d.user_id = v.user_id
         WHERE d.execution_id = %(execution_id)s AND d.position = %(position)s
           AND d.is_test = %(is_test)s AND d.batch = %(batch)s AND d.state = 'claimed'
            ON CONFLICT (execution_id, token) DO UPDATE
           SET position = EXCLUDED.position, is_test = EXCLUDED.is_test, batch = EXCLUDED.batch,
               user_id = EXCLUDED.user_id, kind = EXCLUDED.kind, reason = EXCLUDED.reason,
               doubted_at = EXCLUDED.doubted_at, is_doubted = false
    """
    values = {
        **page._asdict(),
        "now": now,
        "tokens": [d.address.token for d in dead],
        "users": [d.user_id for d in dead],
        "kinds": [d.address.kind for d in dead],
        "reasons": [d.reason for d in dead],
        "since": [d.since for d in dead],
    }
    execute(connection, sql, values)


def has_reported(connection: Connection, page: LedgerPage) -> bool:
    """Return whether devices of the page need a decision."""
    sql = f"SELECT EXISTS (SELECT FROM doubted_devices WHERE {_ON_PAGE} AND NOT is_doubted)"  # noqa: S608 - a constant
    return bool(fetch_value(connection, sql, page._asdict()))


def count_verdict(connection: Connection, page: LedgerPage, batches_before: int) -> Verdict:
    """Return the verdict of the page together with the given number of batches before it."""
    sql = f"""
        SELECT count(*) FILTER (WHERE is_dead),
               count(*) FILTER (WHERE is_dead OR state IN ('sent', 'failed', 'dry_run'))
          FROM (SELECT state,
                       state = 'token_dead' OR user_id IN (
                       SELECT user_id FROM doubted_devices
                        WHERE execution_id = %(execution_id)s AND position = %(position)s
                          AND is_test = %(is_test)s AND NOT {_OF_OTHER_PROJECT}) AS is_dead
                  FROM deliveries
                 WHERE execution_id = %(execution_id)s AND position = %(position)s
                   AND is_test = %(is_test)s AND batch BETWEEN %(first)s AND %(batch)s) outcomes
    """  # noqa: S608 - a constant
    counted = fetch_one(
        connection, sql, {**page._asdict(), "first": page.batch - batches_before}, make=Verdict
    )
    return counted or Verdict(0, 0)


def take_reported(connection: Connection, page: LedgerPage) -> DeadByInstant:
    """Delete the devices of the page that need a decision, and return them by their instant."""
    return _take(connection, f"{_ON_PAGE} AND NOT is_doubted", page._asdict())


def doubt_reported(connection: Connection, page: LedgerPage) -> str:
    """Doubt the devices of the page that need a decision; return the reason of one of them."""
    sql = f"""
        UPDATE doubted_devices SET is_doubted = true WHERE {_ON_PAGE} AND NOT is_doubted
        RETURNING reason
    """  # noqa: S608 - a constant
    return str(fetch_value(connection, sql, page._asdict()))


def doubt_of_other_project(connection: Connection, page: LedgerPage) -> list[str]:
    """Doubt the devices of the page that registered with another project; return their reasons."""
    sql = f"""
        UPDATE doubted_devices SET is_doubted = true
         WHERE {_ON_PAGE} AND NOT is_doubted AND {_OF_OTHER_PROJECT}
        RETURNING reason
    """  # noqa: S608 - constants
    return fetch_values(connection, sql, page._asdict())


def count_of_other_project(connection: Connection, execution_id: str) -> int:
    """Return how many doubted devices of the execution registered with another project."""
    sql = f"""
        SELECT count(*) FROM doubted_devices
         WHERE execution_id = %(id)s AND is_doubted AND {_OF_OTHER_PROJECT}
    """  # noqa: S608 - a constant
    return int(fetch_value(connection, sql, {"id": execution_id}))


def count_doubted(connection: Connection, execution_id: str) -> int:
    """Return how many doubted devices of the execution still need a decision."""
    sql = "SELECT count(*) FROM doubted_devices WHERE execution_id = %s AND is_doubted"
    return int(fetch_value(connection, sql, (execution_id,)))


def take_doubted(connection: Connection, execution_id: str) -> DeadByInstant:
    """Delete the doubted devices of the execution, and return them by the instant of the doubt."""
    return _take(connection, "execution_id = %(id)s AND is_doubted", {"id": execution_id})


def _take(connection: Connection, which: str, values: Mapping[str, object]) -> DeadByInstant:
    sql = f"""
        DELETE FROM doubted_devices WHERE {which}
        RETURNING doubted_at, user_id, token, kind, reason
    """  # noqa: S608 - constants of this module
    taken: defaultdict[datetime, list[DeadDevice]] = defaultdict(list)
    for at, user_id, token, kind, reason in fetch_all(connection, sql, values):
        taken[at].append(DeadDevice(user_id, Address(token, kind), reason))
    return taken
