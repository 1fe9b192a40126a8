"""A CSV split into parts, each with the header; rows stay whole, also with line ends in cells."""

import csv
from collections.abc import Iterator
from io import StringIO
from itertools import islice

from push_blaster.adapters.audiences.audience_csv import AudienceCsvError
from push_blaster.adapters.csv_cells import write_plain_csv


def split_audience(text: str, parts: int) -> Iterator[str]:
    """Yield `parts` CSVs (RFC 4180) with the rows of `text` in order, the remainder in the first.

    Raises: AudienceCsvError, before the first part.
    """
    header, rows = _read_table(text)
    if len(rows) < parts:
        raise AudienceCsvError(f"The CSV has {len(rows)} rows, too few for {parts} parts.")
    size, remainder = divmod(len(rows), parts)
    return _write_parts(header, iter(rows), [size + (n < remainder) for n in range(parts)])


def _read_table(text: str) -> tuple[list[str], list[list[str]]]:
    reader = csv.reader(StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        filled = [row for row in reader if row]
    except csv.Error as error:
        raise AudienceCsvError(f"Line {reader.line_num} is no CSV: {error}.") from error
    if not filled:
        raise AudienceCsvError("The CSV is empty; its first line names the columns.")
    return filled[0], filled[1:]


def _write_parts(header: list[str], rows: Iterator[list[str]], sizes: list[int]) -> Iterator[str]:
    for size in sizes:
        yield write_plain_csv([header, *islice(rows, size)])
