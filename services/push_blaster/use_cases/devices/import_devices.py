"""Register one device or a whole file of devices, in one transaction, or as a dry run."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final

from chassis.postgres import Connection, Database
from push_blaster.adapters.devices.device_csv import DeviceRow
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.adapters.devices.erased_users import select_erased

#: Rows that are held in memory at once.
PAGE: Final = 5_000
#: How many bad rows are listed; the others are counted.
LISTED: Final = 1_000
_ERASED: Final = (
    "userId: This user was erased. A user who wants pushes again first has to opt in again: "
    "DELETE /api/opt-outs."
)


@dataclass(slots=True)
class Imported:
    """The result of an import; counts of rows.

    Shape: `unchanged` rows were valid, but had nothing new, or came twice; of `noted` rows a field
    was ignored.
    """

    rows: int = 0
    registered: int = 0
    unchanged: int = 0
    bad: int = 0
    bad_rows: list[DeviceRow] = field(default_factory=list)
    noted: int = 0
    noted_rows: list[DeviceRow] = field(default_factory=list)


def import_devices(
    database: Database,
    rows: Iterable[DeviceRow],
    now: datetime,
    *,
    dry_run: bool = False,
    listed: int = LISTED,
    is_live: bool = False,
) -> Imported:
    """Register every valid row; a dry run does the same and stores nothing. Safe to repeat.

    A device of a user who was erased is refused.

    Shape: `listed` bad rows are in the answer, and as many with notes; the others are only counted.
    A registration `is_live` if a phone or page makes it itself.
    """
    done, left = Imported(), iter(rows)
    with database.transaction() as connection:
        while page := list(islice(left, PAGE)):
            _import_page(connection, page, now, done, is_live=is_live)
            del done.bad_rows[listed:]
            del done.noted_rows[listed:]
        if dry_run:
            connection.rollback()
    return done


def _import_page(
    connection: Connection, page: list[DeviceRow], now: datetime, done: Imported, *, is_live: bool
) -> None:
    page = _refuse_erased(connection, page)
    good = [row.device for row in page if row.device]
    bad = [row for row in page if not row.device]
    noted = [row for row in page if row.notes]
    registered = upsert_devices(connection, good, now, is_live=is_live)
    done.rows += len(page)
    done.registered += registered
    done.unchanged += len(good) - registered
    done.bad += len(bad)
    done.bad_rows += bad
    done.noted += len(noted)
    done.noted_rows += noted


def _refuse_erased(connection: Connection, page: list[DeviceRow]) -> list[DeviceRow]:
    erased = select_erased(connection, [row.device.user_id for row in page if row.device])
    return [
        DeviceRow(row.line, None, (_ERASED,))
        if row.device and row.device.user_id in erased
        else row
        for row in page
    ]
