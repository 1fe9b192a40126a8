"""The CSV reader against Python's own, strictly, over whole texts: one reading, or a refusal."""

import csv
import io
import re
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chassis import csv_reader
from chassis.csv_reader import CsvError, read_csv
from chassis.names import column_key, trim_id
from tests.fuzz.values import THOROUGH

#: What files are made of; each piece matters to a reader, or falls between two blocks.
_PIECES: Final = st.sampled_from(
    ["a", "B1", '"', '""', ",", ";", "\t", "\n", "\r\n", "\r", " ", "é", "€", "😀", "\ufeff", "\0"]
)
_ENCODINGS: Final = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"])
_STRANGE: Final = st.sampled_from([b"", b"", b"\x81", b"\xe9", b"\xe2\x82\xac", b"\x00", b"\xff"])

#: How an Excel workbook, a gzip file, a PDF and UTF-32 begin.
_NO_CSV: Final = (
    b"PK\x03\x04",
    b"\xd0\xcf\x11\xe0",
    b"\x1f\x8b",
    b"%PDF",
    b"\xff\xfe\0\0",
    b"\0\0\xfe\xff",
)


class RefusedError(Exception):
    """The independent reader does not take the file."""


@THOROUGH
@given(
    pieces=st.lists(_PIECES, max_size=40),
    encoding=_ENCODINGS,
    strange=_STRANGE,
    block=st.integers(2, 9),
)
def test_a_file_is_read_as_by_an_independent_reader_or_refused_by_both(
    pieces: list[str], encoding: str, strange: bytes, block: int
) -> None:
    content = _join("id,b,c\n", pieces, encoding) + strange
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_reader, "BLOCK", block)
        _compare(content)


@THOROUGH
@given(pieces=st.lists(_PIECES, max_size=30), encoding=_ENCODINGS)
def test_a_header_is_read_as_by_an_independent_reader(pieces: list[str], encoding: str) -> None:
    _compare(_join("", pieces, encoding))


@THOROUGH
@given(content=st.binary(max_size=200))
@example(content=b"PK\x03\x04")
@example(content=b"%PDF\n1")
def test_whatever_the_bytes_are_the_only_error_is_the_readers_own(content: bytes) -> None:
    _compare(content)


def _join(header: str, pieces: list[str], encoding: str) -> bytes:
    return (header + "".join(pieces)).encode(encoding, errors="replace")


def _compare(content: bytes) -> None:
    try:
        expected = _read_independently(content)
    except RefusedError:
        expected = None
    try:
        file = read_csv(io.BytesIO(content), "fuzzed.csv")
        found = [list(file.columns), *(cells for _, cells in file.rows)]
    except CsvError:
        found = None
    assert found == expected


def _read_independently(content: bytes) -> list[list[str] | str]:
    """Return the header and the rows by the rules of the documents, in the simplest way."""
    if content.startswith(_NO_CSV):
        raise RefusedError
    text = _decode(content)
    first = re.sub(r"\A\s*[\r\n]", "", text)
    delimiter = max(",;\t", key=lambda mark: _count_outside_quotes(first, mark))
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise RefusedError from error
    header, *others = [row for row in rows if row and not (len(row) == 1 and row[0].isspace())] or [
        []
    ]
    names = [trim_id(name) for name in header]
    keys = [column_key(name) for name in names if name]
    if not keys or len(keys) != len(set(keys)) or "\0" in text:
        raise RefusedError
    return [names, *(_fit(row, len(names)) for row in others)]


def _fit(row: list[str], width: int) -> list[str] | str:
    if len(row) > width:
        return f"{len(row)} cells, {width} columns"
    return [*row, *[""] * (width - len(row))]


def _decode(content: bytes) -> str:
    is_utf_16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return content.decode("utf-16" if is_utf_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        if is_utf_16 or _has_multi_byte_character(content):
            raise RefusedError from error
    try:
        return content.decode("cp1252")
    except UnicodeDecodeError as error:
        raise RefusedError from error


def _has_multi_byte_character(content: bytes) -> bool:
    for start in range(len(content)):
        for end in (start + 2, start + 3, start + 4):
            try:
                if len(content[start:end].decode()) == 1 and content[start] > 0x7F:
                    return True
            except UnicodeDecodeError:
                continue
    return False


def _count_outside_quotes(text: str, mark: str) -> int:
    """Count a delimiter in the first row, which ends at the first line end outside quotes."""
    count, is_quoted = 0, False
    for character in text:
        if character == '"':
            is_quoted = not is_quoted
        elif not is_quoted and character in "\r\n":
            break
        elif not is_quoted and character == mark:
            count += 1
    return count
