"""The CSV files that we write: no cell is a formula, and rows are read as they are needed."""

import csv
from collections.abc import Iterator

import pytest

from push_blaster.adapters.csv_cells import stream_csv, write_csv, write_plain_csv


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@a", "\t=1", "\r=1"])
def test_a_cell_that_looks_like_a_formula_begins_with_an_apostrophe(cell: str) -> None:
    (row,) = csv.reader(write_csv([("a", cell, None)]).splitlines(keepends=True))

    assert row == ["a", f"'{cell}", ""]


def test_a_csv_for_programs_keeps_its_cells() -> None:
    assert write_plain_csv([("=1", -1)]) == "=1,-1\r\n"


def test_a_stream_is_the_same_text_and_reads_a_piece_ahead_at_most() -> None:
    taken = []

    def rows() -> Iterator[tuple[int]]:
        for number in range(2_500):
            taken.append(number)
            yield (number,)

    stream = stream_csv(rows())
    first = next(stream)

    assert len(taken) == 1_000
    assert first + "".join(stream) == write_csv((number,) for number in range(2_500))
