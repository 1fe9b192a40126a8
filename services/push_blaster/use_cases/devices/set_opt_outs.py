"""Set opt-outs, one or a whole file of them, in one transaction, or as a dry run."""

from collections.abc import Iterable

from chassis.postgres import Database
from push_blaster.adapters.devices.csv_items import ItemRow
from push_blaster.adapters.devices.opt_out_table import upsert_opt_outs
from push_blaster.domain.devices.opt_out import OptOut
from push_blaster.use_cases.devices.import_items import Imported, import_items


def set_opt_outs(
    database: Database, rows: Iterable[ItemRow[OptOut]], *, dry_run: bool = False
) -> Imported[OptOut]:
    """Set the opt-out of every valid row; a dry run does the same and stores nothing."""
    return import_items(database, rows, upsert_opt_outs, dry_run=dry_run)
