"""Cells of the CSV files that we write: safe to open in a spreadsheet."""

from typing import Final

#: What a spreadsheet takes for the beginning of a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def guard(cell: object) -> str:
    """Return the cell as text that no spreadsheet runs: an apostrophe before what looks so."""
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(_FORMULA) else text
