"""The table `doubted_devices`: devices that a provider called dead, perhaps wrongly."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all, fetch_value
from push_blaster.domain.devices.device import Address, DeadDevice


def insert_doubted(
    connection: Connection, execution_id: str, dead: Sequence[DeadDevice], now: datetime
) -> None:
    """Record devices whose death is doubted; if a device comes again, the last doubt counts."""
    sql = """
        INSERT INTO doubted_devices (execution_id, token, user_id, kind, reason, doubted_at)
        SELECT DISTINCT ON (token) %(execution_id)s, token, user_id, kind, reason, %(now)s
          FROM unnest(%(tokens)s::text[], %(users)s::uuid[], %(kinds)s::text[],
                      %(reasons)s::text[]) AS v (token, user_id, kind, reason)
            ON CONFLICT (execution_id, token) DO UPDATE
           SET user_id = EXCLUDED.user_id, kind = EXCLUDED.kind, reason = EXCLUDED.reason,
               doubted_at = EXCLUDED.doubted_at
    """
    values = {
        "execution_id": execution_id,
        "now": now,
        "tokens": [d.address.token for d in dead],
        "users": [d.user_id for d in dead],
        "kinds": [d.address.kind for d in dead],
        "reasons": [d.reason for d in dead],
    }
    execute(connection, sql, values)


def count_doubted(connection: Connection, execution_id: str) -> int:
    """Return how many doubted devices of the execution still need a decision."""
    sql = "SELECT count(*) FROM doubted_devices WHERE execution_id = %s"
    counted: int = fetch_value(connection, sql, (execution_id,))
    return counted


def take_doubted(
    connection: Connection, execution_id: str
) -> Mapping[datetime, Sequence[DeadDevice]]:
    """Forget the doubted devices of the execution, and return them by the instant of the doubt."""
    sql = """
        DELETE FROM doubted_devices WHERE execution_id = %s
        RETURNING doubted_at, user_id, token, kind, reason
    """
    taken: defaultdict[datetime, list[DeadDevice]] = defaultdict(list)
    for at, user_id, token, kind, reason in fetch_all(connection, sql, (execution_id,)):
        taken[at].append(DeadDevice(user_id, Address(token, kind), reason))
    return taken
