"""Write the valid rows of a file, page by page, in one transaction, or as a dry run."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Generic

from chassis.postgres import Connection, Database
from push_blaster.adapters.devices.csv_items import Item, ItemRow

#: Rows that are held in memory at once.
PAGE: Final = 5_000
#: How many bad rows are listed; the others are counted.
LISTED: Final = 1_000


@dataclass(slots=True)
class Imported(Generic[Item]):
    """The result of an import; counts of rows.

    Shape: `unchanged` rows were valid, but had nothing new, or came twice; of `noted` rows a field
    was ignored.
    """

    rows: int = 0
    written: int = 0
    unchanged: int = 0
    bad: int = 0
    bad_rows: list[ItemRow[Item]] = field(default_factory=list)
    noted: int = 0
    noted_rows: list[ItemRow[Item]] = field(default_factory=list)


def import_items(
    database: Database,
    rows: Iterable[ItemRow[Item]],
    write: Callable[[Connection, Sequence[Item]], int],
    *,
    check: Callable[[Connection, list[ItemRow[Item]]], list[ItemRow[Item]]] = lambda _, page: page,
    dry_run: bool = False,
    listed: int = LISTED,
) -> Imported[Item]:
    """Write every valid row; a dry run does the same and stores nothing.

    Shape: `write` returns how many items were new or changed anything; `check` returns a page
    without the items that it refuses. `listed` bad rows are in the answer, and as many with notes;
    the others are only counted.
    """
    done, left = Imported[Item](), iter(rows)
    with database.transaction() as connection:
        while page := list(islice(left, PAGE)):
            page = check(connection, page)
            good = [row.item for row in page if row.item is not None]
            written = write(connection, good)
            done.rows += len(page)
            done.written += written
            done.unchanged += len(good) - written
            done.bad += len(page) - len(good)
            done.bad_rows += [row for row in page if row.item is None]
            noted = [row for row in page if row.notes]
            done.noted += len(noted)
            done.noted_rows += noted
            del done.bad_rows[listed:]
            del done.noted_rows[listed:]
        if dry_run:
            connection.rollback()
    return done
