"""Devices that a provider called dead without being believed, as a batch leaves them."""

from collections.abc import Sequence
from datetime import datetime

from chassis.postgres import Connection
from chassis.rows import insert_many
from push_blaster.domain.devices.device import DeadDevice


def insert_doubted(
    connection: Connection, execution_id: str, dead: Sequence[DeadDevice], now: datetime
) -> None:
    insert_many(
        connection,
        """
        INSERT INTO doubted_devices (execution_id, token, user_id, kind, reason, doubted_at)
        VALUES %s ON CONFLICT DO NOTHING
        """,
        [(execution_id, d.address.token, d.user_id, d.address.kind, d.reason, now) for d in dead],
    )
