"""Register one device or a whole file of devices, in one transaction, or as a dry run."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from chassis.postgres import Connection, Database
from push_blaster.adapters.devices.csv_items import ItemRow
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.adapters.devices.erased_users import select_erased
from push_blaster.use_cases.devices.import_items import LISTED, Imported, import_items

_ERASED: Final = (
    "userId: This user was erased. A user who wants pushes again first has to opt in again: "
    "DELETE /api/opt-outs."
)


def import_devices(
    database: Database,
    rows: Iterable[ItemRow[Device]],
    now: datetime,
    *,
    dry_run: bool = False,
    listed: int = LISTED,
    is_live: bool = False,
) -> Imported[Device]:
    """Register every valid row; a dry run does the same and stores nothing. Safe to repeat.

    A device of a user who was erased is refused.

    Shape: `listed` bad rows are in the answer, and as many with notes; the others are only counted.
    A registration `is_live` if a phone or page makes it itself.
    """

    def write(connection: Connection, devices: Sequence[Device]) -> int:
        return upsert_devices(connection, devices, now, is_live=is_live)

    return import_items(database, rows, write, check=_refuse_erased, dry_run=dry_run, listed=listed)


def _refuse_erased(connection: Connection, page: list[ItemRow[Device]]) -> list[ItemRow[Device]]:
    erased = select_erased(connection, [row.item.user_id for row in page if row.item])
    return [
        ItemRow(row.line, None, (_ERASED,)) if row.item and row.item.user_id in erased else row
        for row in page
    ]
