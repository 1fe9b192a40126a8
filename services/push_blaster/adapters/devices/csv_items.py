"""The rows of a CSV from outside: each is a device or an opt-out, or what is wrong with it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Final, Generic, TypeVar

from chassis.csv_reader import CsvFile, read_csv
from chassis.names import trim_id

Item = TypeVar("Item")
#: The possible names of the column that says whom a row is about.
USER_NAMES: Final = ("user_id", "id", "user")


@dataclass(frozen=True, slots=True)
class ItemRow(Generic[Item]):
    """One row of a file or list: an item, or what is wrong with it.

    Shape: `line` counts the lines of a file from 1, the items of a list from 0. `notes` say what
    was ignored of a valid item.
    """

    line: int
    item: Item | None
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def fault(self) -> str:
        """What is wrong, in one text."""
        return "; ".join(self.faults)


@dataclass(frozen=True, slots=True)
class ItemFile(Generic[Item]):
    """An open file of items, and what people should know about it."""

    rows: Iterator[ItemRow[Item]]
    note: str = ""


def read_items(
    file: IO[bytes],
    name: str,
    names: Mapping[str, Sequence[str]],
    check: Callable[[CsvFile], None],
    read: Callable[[int, Mapping[str, str]], ItemRow[Item]],
) -> ItemFile[Item]:
    """Read the header of a CSV; its rows are read as they are asked for.

    Raises: CsvError, also while the rows are read; `check` raises it if a column is missing.

    Shape: `names` are the possible names of each field's column; the first of them that the file
    has is taken. `read` gets the cells that are filled in, by field.
    """
    found = read_csv(file, name)
    check(found)
    columns = {field: found.find_column(*own) for field, own in names.items()}
    places = {field: column for field, column in columns.items() if column is not None}

    def rows() -> Iterator[ItemRow[Item]]:
        for line, cells in found.rows:
            if isinstance(cells, str):
                yield ItemRow(line, None, (cells,))
                continue
            given = {field: trim_id(cells[place]) for field, place in places.items()}
            yield read(line, {field: cell for field, cell in given.items() if cell})

    return ItemFile(rows(), found.note_on(places.values()))
