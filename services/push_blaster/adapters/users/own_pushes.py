"""The pushes of ours that records of the cadence service may stand for."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from chassis.postgres import Connection
from chassis.rows import fetch_all
from push_blaster.domain.users.timeline import OwnPush

OWN_PUSHES: Final = """
    SELECT execution_id, position, is_test FROM deliveries
     WHERE user_id = %(user)s
       AND ((claimed_at >= %(since)s AND claimed_at < %(until)s)
            OR (execution_id, position) IN (
                SELECT * FROM unnest(%(ids)s::text[], %(positions)s::int[])))
"""


def select_own_pushes(
    connection: Connection,
    user_id: UUID,
    keys: Sequence[tuple[str, int]],
    since: datetime,
    until: datetime,
) -> list[OwnPush]:
    """Return the user's pushes of some time, and those of `keys`: execution and position."""
    values = {
        "user": user_id,
        "since": since,
        "until": until,
        "ids": [id_ for id_, _ in keys],
        "positions": [position for _, position in keys],
    }
    return fetch_all(connection, OWN_PUSHES, values, make=OwnPush)
