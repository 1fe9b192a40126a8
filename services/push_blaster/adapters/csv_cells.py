"""The CSV files that the system writes (RFC 4180), safe to open in a spreadsheet."""

import csv
from collections.abc import Iterable, Iterator
from io import StringIO
from itertools import chain, islice
from typing import Final

#: What a spreadsheet takes for the beginning of a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
#: The number of rows that are in memory at once.
_PIECE: Final = 1_000

Rows = Iterable[Iterable[object]]


def guard(cell: object) -> str:
    """Return the cell as text that no spreadsheet runs: an apostrophe before a possible formula."""
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(_FORMULA) else text


def write_csv(rows: Rows) -> str:
    """Return rows as CSV text whose cells no spreadsheet runs."""
    return write_plain_csv(map(guard, row) for row in rows)


def stream_csv(rows: Rows) -> Iterator[str]:
    """Yield the same text piece by piece, reading the rows as they are needed."""
    return stream_plain_csv(map(guard, row) for row in rows)


def stream_plain_csv(*groups: Rows) -> Iterator[str]:
    """Yield the rows of all groups as `write_plain_csv` writes them, piece by piece."""
    left = chain.from_iterable(groups)
    while piece := list(islice(left, _PIECE)):
        yield write_plain_csv(piece)


def write_plain_csv(rows: Rows) -> str:
    """Return rows as CSV text with the cells as they are: for programs, not for spreadsheets."""
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
