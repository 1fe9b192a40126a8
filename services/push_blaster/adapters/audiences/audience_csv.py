"""The CSV that a script wrote, row by row: valid rows, and bad rows with the reason."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from push_blaster.adapters.csv_cells import write_plain_csv
from push_blaster.domain.audiences.audience import is_user_id

ID_COLUMNS: Final = frozenset({"user_id", "userid", "id", "user id", "user"})


class AudienceCsvError(Exception):
    """The file as a whole cannot be read as an audience."""


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One data row: a canonical user id and its variables, or the reason why it is bad."""

    line: int
    user_id: str
    variables: Mapping[str, str]
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class AudienceCsv:
    """An open audience file: its variable columns, and its rows."""

    columns: tuple[str, ...]
    rows: Iterator[CsvRow]


def open_audience(file: TextIO, name: str) -> AudienceCsv:
    """Read the header of `file`; the rows are read as they are needed.

    Shape:  `file` is opened by `open_text`: UTF-8 with or without BOM, any line ending.
    Raises: AudienceCsvError if there is no header, or no column with user ids in it.
    """
    reader = csv.reader(file)
    try:
        header = [cell.strip() for cell in next(reader, [])]
    except csv.Error as error:
        raise AudienceCsvError(f"The header of {name} is no CSV: {error}.") from error
    position = next((i for i, cell in enumerate(header) if cell.lower() in ID_COLUMNS), None)
    if position is None:
        found = ", ".join(header) or "none: the file is empty"
        raise AudienceCsvError(
            f"{name} has no column of user ids (user_id, userId, id, User ID or user). "
            f"Its columns: {found}."
        )
    columns = tuple(cell for i, cell in enumerate(header) if i != position)
    return AudienceCsv(columns, _read_rows(reader, header, position))


def open_text(path: Path) -> TextIO:
    """Open a CSV for `open_audience`; bytes that are no UTF-8 become replacement characters."""
    return path.open(encoding="utf-8-sig", errors="replace", newline="")


def write_user_ids(path: Path, user_ids: Iterable[str]) -> None:
    """Write a CSV of user ids, which `open_audience` can read."""
    text = write_plain_csv([["user_id"], *([user_id] for user_id in user_ids)])
    path.write_text(text, encoding="utf-8", newline="")


def _read_rows(
    reader: "csv._reader",  # type: ignore[name-defined,unused-ignore]  # has no public name
    header: list[str],
    position: int,
) -> Iterator[CsvRow]:
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield CsvRow(reader.line_num, "", {}, f"bad_row: {error}")
            continue
        if cells:
            yield _read_row(reader.line_num, cells, header, position)


def _read_row(line: int, cells: list[str], header: list[str], position: int) -> CsvRow:
    if len(cells) != len(header):
        return CsvRow(line, "", {}, f"bad_row: {len(cells)} cells, {len(header)} columns")
    user_id = cells[position].strip()
    if not user_id:
        return CsvRow(line, "", {}, "missing_id")
    if not is_user_id(user_id):
        return CsvRow(line, "", {}, f"invalid_uuid: {user_id[:50]!r}")
    variables = {
        name: cell
        for i, (name, cell) in enumerate(zip(header, cells, strict=True))
        if i != position
    }
    return CsvRow(line, user_id.lower(), variables)
