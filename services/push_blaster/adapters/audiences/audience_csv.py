"""The CSV that a script wrote, row by row: valid rows, and bad rows with the reason."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NamedTuple

from chassis.csv_reader import CsvError, Row, read_csv
from chassis.names import column_key, trim_id
from push_blaster.adapters.csv_cells import write_plain_csv
from push_blaster.domain.audiences.audience import (
    KIND_COLUMN,
    TOKEN_COLUMN,
    ZONE_COLUMN,
    is_user_id,
)

#: The names of the column of user ids; the first of them that a file has is taken.
ID_COLUMNS: Final = ("user_id", "id", "user")
#: Columns that the system reads get its spelling; all others keep their names for placeholders.
_OURS: Final = {column_key(name): name for name in (TOKEN_COLUMN, KIND_COLUMN, ZONE_COLUMN)}


class CsvRow(NamedTuple):
    """One data row: a canonical user id and its variables, or the reason why it is bad."""

    line: int
    user_id: str
    variables: Mapping[str, str]
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class AudienceCsv:
    """An open audience file: its variable columns, its rows, a note for people, and its form."""

    columns: tuple[str, ...]
    rows: Iterator[CsvRow]
    note: str = ""
    form: str = ""


def open_audience(file: IO[bytes], name: str) -> AudienceCsv:
    """Read the header of `file`; the rows are read as they are needed.

    Raises: CsvError, also while the rows are read.
    """
    found = read_csv(file, name)
    position = found.find_column(*ID_COLUMNS)
    if position is None:
        raise CsvError(
            f"{name} has no column of user ids: name it user_id, id or user. "
            f"Its {found.list_columns()}"
        )
    names = [_OURS.get(column_key(column), column) for column in found.columns]
    names[position] = ""
    rows = (_read_row(row, names, position) for row in found.rows)
    return AudienceCsv(tuple(filter(None, names)), rows, found.note, found.form)


def write_user_ids(path: Path, user_ids: Iterable[str]) -> None:
    """Write a CSV of user ids, which `open_audience` can read."""
    text = write_plain_csv([["user_id"], *([user_id] for user_id in user_ids)])
    path.write_text(text, encoding="utf-8", newline="")


def _read_row(row: Row, names: list[str], position: int) -> CsvRow:
    line, cells = row
    if isinstance(cells, str):
        return CsvRow(line, "", {}, f"bad_row: {cells}")
    user_id = cells[position]
    if not is_user_id(user_id):
        user_id = trim_id(user_id)
        if not user_id:
            return CsvRow(line, "", {}, "missing_id")
        if not is_user_id(user_id):
            return CsvRow(line, "", {}, f"invalid_uuid: {user_id[:50]!r}")
    variables = dict(zip(names, cells, strict=True))
    del variables[""]
    return CsvRow(line, user_id.lower(), variables)
