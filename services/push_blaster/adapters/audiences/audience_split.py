"""A CSV split into parts, each with the header; rows stay whole, also with line ends in cells."""

from collections.abc import Iterator
from io import BytesIO
from itertools import islice

from chassis.csv_reader import CsvError, CsvFile, read_csv
from push_blaster.adapters.csv_cells import stream_plain_csv
from push_blaster.domain.number_words import number_of


def split_audience(text: str, parts: int) -> Iterator[Iterator[str]]:
    """Yield `parts` CSVs (RFC 4180) with the rows of `text` in order, the remainder in the first.

    Shape: a CSV is some texts, to be read before the next CSV; few rows are in memory at a time.
    Raises: CsvError, before the first part; a row with too many cells is an error too.
    """
    raw = BytesIO(text.encode())
    rows = sum(1 for _ in _read_rows(read_csv(raw, "The CSV")))
    if rows < parts:
        raise CsvError(f"The CSV has {number_of(rows, 'row')}, too few for {parts} parts.")
    size, remainder = divmod(rows, parts)
    return _write_parts(read_csv(raw, "The CSV"), [size + (n < remainder) for n in range(parts)])


def _read_rows(file: CsvFile) -> Iterator[list[str]]:
    for line, cells in file.rows:
        if isinstance(cells, str):
            raise CsvError(f"The CSV, line {line}: {cells}.")
        yield cells


def _write_parts(file: CsvFile, sizes: list[int]) -> Iterator[Iterator[str]]:
    rows = _read_rows(file)
    for size in sizes:
        yield stream_plain_csv([file.columns], islice(rows, size))
