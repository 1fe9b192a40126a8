"""A CSV split into parts, each with the header; rows stay whole, also with line ends in cells."""

from collections.abc import Iterator
from io import BytesIO
from itertools import islice

from chassis.csv_reader import CsvError, read_csv
from push_blaster.adapters.csv_cells import write_plain_csv


def split_audience(text: str, parts: int) -> Iterator[str]:
    """Yield `parts` CSVs (RFC 4180) with the rows of `text` in order, the remainder in the first.

    Raises: CsvError, before the first part; a row with too many cells is an error too.
    """
    file = read_csv(BytesIO(text.encode()), "The CSV")
    rows = [_check_row(line, cells) for line, cells in file.rows]
    if len(rows) < parts:
        raise CsvError(f"The CSV has {len(rows)} rows, too few for {parts} parts.")
    size, remainder = divmod(len(rows), parts)
    return _write_parts(file.columns, iter(rows), [size + (n < remainder) for n in range(parts)])


def _check_row(line: int, cells: list[str] | str) -> list[str]:
    if isinstance(cells, str):
        raise CsvError(f"The CSV, line {line}: {cells}.")
    return cells


def _write_parts(
    header: tuple[str, ...], rows: Iterator[list[str]], sizes: list[int]
) -> Iterator[str]:
    for size in sizes:
        yield write_plain_csv([header, *islice(rows, size)])
