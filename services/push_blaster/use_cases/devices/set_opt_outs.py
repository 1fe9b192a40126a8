"""Set opt-outs, one or a whole file of them, in one transaction, or as a dry run."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from chassis.postgres import Database
from push_blaster.adapters.devices.opt_out_csv import OptOutRow
from push_blaster.adapters.devices.opt_out_table import upsert_opt_outs

#: Rows that are held in memory at once.
PAGE: Final = 5_000
#: How many bad rows are listed; the others are counted.
LISTED: Final = 1_000


@dataclass(slots=True)
class SetOptOuts:
    """The result; counts of rows.

    Shape: `unchanged` rows were valid, but had nothing new, or came twice.
    """

    rows: int = 0
    set: int = 0
    unchanged: int = 0
    bad: int = 0
    bad_rows: list[OptOutRow] = field(default_factory=list)


def set_opt_outs(
    database: Database, rows: Iterable[OptOutRow], *, dry_run: bool = False
) -> SetOptOuts:
    """Set the opt-out of every valid row; a dry run does the same and stores nothing."""
    done, left = SetOptOuts(), iter(rows)
    with database.transaction() as connection:
        while page := list(islice(left, PAGE)):
            good = [row.opt_out for row in page if row.opt_out]
            changed = upsert_opt_outs(connection, good)
            done.rows += len(page)
            done.set += changed
            done.unchanged += len(good) - changed
            done.bad += len(page) - len(good)
            done.bad_rows += [row for row in page if not row.opt_out]
            del done.bad_rows[LISTED:]
        if dry_run:
            connection.rollback()
    return done
