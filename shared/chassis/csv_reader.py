"""The one reader of CSV files from outside: strict, streaming, and its only error is CsvError.

It reads UTF-8, UTF-16 with a byte order mark, and Windows-1252; commas, semicolons or tabs.
"""

import codecs
import csv
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from io import IncrementalNewlineDecoder, StringIO
from itertools import chain, islice
from typing import IO, Final

from chassis.names import column_key, trim_id

#: No line, and no row, may have more characters; a quote that is not closed ends here.
MAX_ROW: Final = 1024 * 1024
MAX_COLUMNS: Final = 1_000
BLOCK: Final = 256 * 1024
#: How many bytes show whether a text has two bytes for each character.
_LOOKED_AT: Final = 64
#: The number of rows in which a sample of a text in a guessed encoding is searched for.
SAMPLED: Final = 100_000
_DELIMITERS: Final = ",;\t"
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
#: How people call what a file is written in.
_NAMES: Final = {
    "utf-8-sig": "UTF-8",
    "utf-16": "UTF-16",
    "cp1252": "Windows-1252",
    ",": "commas",
    ";": "semicolons",
    "\t": "tabs",
}
#: How files begin that are no CSV that this reader reads.
_OTHER_FILES: Final = {
    b"PK\x03\x04": "an Excel workbook (.xlsx), or another zip file",
    b"\xd0\xcf\x11\xe0": "an Excel workbook (.xls)",
    b"\x1f\x8b": "a gzip file",
    b"%PDF": "a PDF",
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
}
#: Characters that separate cells in files of others.
_OTHER_DELIMITERS: Final = "|:^~"
SAVE_RIGHT: Final = (
    "Save it as a CSV in UTF-8: in Excel by Save As, CSV UTF-8; in Google Sheets by File, "
    "Download, CSV."
)
#: The bytes that mean nothing in Windows-1252.
_NOT_WINDOWS: Final = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_MULTI_BYTE: Final = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}"
    rb"|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}"
    rb"|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
_FIRST_ROW: Final = re.compile(r'(?:[^\S\r\n]*[\r\n])*+((?:"[^"]*"|[^"\r\n]++)*)')
_QUOTED: Final = re.compile(r'"[^"]*"')
_LINE_END: Final = re.compile(r"\r\n?|\n")
_CELL_END: Final = re.compile(rb'[,;\t\r\n"]')

#: The line in which a row begins, counted from 1, and its cells, or what is wrong with the row.
Row = tuple[int, list[str] | str]


class CsvError(Exception):
    """The file as a whole cannot be read; the message names the file, the line and the fix."""


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A CSV whose header is read, and whose rows are read as they are asked for.

    Shape: `columns` are the names as they are written, "" for a column without one; a row has as
    many cells. `note` is what a person should know about the file, or empty. `read_again` yields
    the first row and the other ones once more. `form` says in which encoding the file is written,
    and what separates its cells.
    """

    name: str
    columns: tuple[str, ...]
    rows: Iterator[Row]
    note: str
    read_again: Callable[[], Iterator[Row]]
    form: str = ""

    def list_columns(self) -> str:
        """Return the columns for a complaint, and what seems to separate them if nothing does."""
        text = f"columns: {', '.join(self.columns)}."
        if len(self.columns) > 1:
            return text
        other = next((one for one in _OTHER_DELIMITERS if one in self.columns[0]), None)
        hint = f" Its cells seem to be separated by {other!r}; use commas, semicolons or tabs."
        return text + (hint if other else "")

    def find_column(self, *names: str) -> int | None:
        """Return the position of the first of `names` that is a column, however it is written.

        A hyphen is as good as a space unless another column has the name without it.
        """
        keys = [column_key(column) for column in self.columns]
        loose = [key.replace("-", "") for key in keys]
        places = (
            written.index(key)
            for key in map(column_key, names)
            for written in (keys, loose)
            if key in written
        )
        return next(places, None)

    def note_on(self, places: Collection[int]) -> str:
        """Return the note with a sample from one of these columns, if a text of theirs is one."""
        if not self.note:
            return ""
        rows = (cells for _, cells in islice(self.read_again(), SAMPLED) if isinstance(cells, list))
        texts = (row[place] for row in rows for place in places)
        return describe_guess(self.name, texts) or self.note


def describe_guess(name: str, texts: Iterable[str]) -> str:
    """Return the warning about a guessed encoding, with the first of `texts` that shows the guess.

    The warning is empty if no text shows it.
    """
    sample = next((text.strip() for text in texts if not text.isascii()), None)
    if sample is None:
        return ""
    return (
        f"{name} is not UTF-8 and was read as Windows-1252, for example {sample[:60]!r}. "
        "If that is wrong, save the file as UTF-8."
    )


def read_csv(file: IO[bytes], name: str) -> CsvFile:
    """Read the header of `file`, which is read twice from its start and has to be seekable.

    Short rows are filled up with empty cells, empty lines are left out. Memory is bounded.
    Raises: CsvError, also while the rows are read.
    """
    source = _Source(file, name)
    try:
        encoding, note = _find_encoding(source)
    except OSError as error:
        raise source.unreadable(error) from error
    delimiter = _find_delimiter(source, encoding)
    read_again = partial(_read_rows, source, encoding, delimiter)
    rows = read_again()
    columns = _read_header(name, rows)
    form = _describe_form(source, encoding, delimiter if len(columns) > 1 else "")
    return CsvFile(name, columns, rows, note, read_again, form)


@dataclass(frozen=True, slots=True)
class _Source:
    file: IO[bytes]
    name: str

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes from the start on; the last piece, and only the last, is empty."""
        piece, place = b".", 0
        try:
            while piece:
                self.file.seek(place)  # somebody else may read the file in between
                piece = self.file.read(BLOCK)
                place += len(piece)
                yield piece
        except OSError as error:
            raise self.unreadable(error) from error

    def head(self) -> bytes:
        """Return the first piece."""
        return next(self.pieces())

    def refused(self, line: int, fault: str) -> CsvError:
        return CsvError(f"{self.name}, line {line}: {fault}")

    def too_long(self, line: int) -> CsvError:
        return self.refused(
            line,
            "the row that begins here is too long (a cell may have "
            f"{csv.field_size_limit():,} characters, a row {MAX_ROW:,}), or has a quote "
            '(") that is not closed.',
        )

    def unreadable(self, error: OSError) -> CsvError:
        return CsvError(f"{self.name} cannot be read: {error.strerror or error}.")


def _describe_form(source: _Source, encoding: str, delimiter: str) -> str:
    is_marked = encoding == "utf-8-sig" and source.head().startswith(codecs.BOM_UTF8)
    text = _NAMES[encoding] + (" with a byte order mark" if is_marked else "")
    return f"{text}, separated by {_NAMES[delimiter]}" if delimiter else f"{text}, one column"


def _read_header(name: str, rows: Iterator[Row]) -> tuple[str, ...]:
    _, cells = next(rows, (1, []))
    if isinstance(cells, str):
        raise CsvError(f"{name} cannot be read: in the header {cells}.")
    columns = tuple(map(trim_id, cells))
    if not any(columns):
        raise CsvError(f"{name} is empty; its first line has to name the columns.")
    if len(columns) > MAX_COLUMNS:
        raise CsvError(f"{name} has {len(columns)} columns; {MAX_COLUMNS} is the most.")
    known: dict[str, str] = {}
    for column in filter(None, columns):
        key = column_key(column)
        if key in known:
            raise CsvError(
                f"{name} has the columns {known[key]!r} and {column!r}, which are one name (case, "
                "spaces and underscores do not count). Rename or remove one of them."
            )
        known[key] = column
    return columns


@dataclass(slots=True)
class _Progress:
    """The width of the header, the line in which the last row ended, and the lines being read.

    Units: lines are counted from 1; `first` is the number of the first of `lines`.
    """

    width: int = 0
    ended: int = 0
    lines: list[str] = field(default_factory=list)
    first: int = 1


def _read_rows(source: _Source, encoding: str, delimiter: str) -> Iterator[Row]:
    """Yield the header, then every row that is not empty, as wide as the header."""
    progress = _Progress()
    lines = chain.from_iterable(_bound_rows(source, _read_lines(source, encoding), progress))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        try:
            yield from _fit_rows(reader, progress)
        except csv.Error as error:
            yield progress.ended + 1, _explain(source, progress, reader.line_num, error)
            progress.ended = reader.line_num
        else:
            return


def _fit_rows(
    reader: "csv._reader",  # type: ignore[name-defined,unused-ignore]  # has no public name
    progress: _Progress,
) -> Iterator[Row]:
    width = progress.width
    for cells in reader:
        if len(cells) == width > 1:
            yield progress.ended + 1, cells
        elif not _is_empty(cells):
            progress.width = width = width or len(cells)
            yield progress.ended + 1, _fit(cells, width)
        progress.ended = reader.line_num


def _is_empty(cells: list[str]) -> bool:
    return not cells or (len(cells) == 1 and cells[0].isspace())


def _fit(cells: list[str], width: int) -> list[str] | str:
    if len(cells) > width:
        return f"{len(cells)} cells, {width} columns"
    return cells + [""] * (width - len(cells))


def _explain(source: _Source, progress: _Progress, line: int, error: csv.Error) -> str:
    """Return what is wrong with a row of one line; CsvError if its end is uncertain."""
    begun = progress.ended + 1
    is_too_long = "limit" in str(error)
    if is_too_long and line == begun and '"' not in progress.lines[line - progress.first]:
        return f"a cell has more than {csv.field_size_limit():,} characters"
    if is_too_long:
        raise source.too_long(begun)
    raise source.refused(
        begun,
        'the row that begins here has a quote (") that is not closed, or text after the closing '
        'quote. Write a quote within a quoted cell twice ("").',
    ) from error


def _bound_rows(
    source: _Source, blocks: Iterator[list[str]], progress: _Progress
) -> Iterator[list[str]]:
    """Yield `blocks` as long as rows end in them; a row without an end is refused."""
    begun = size = 0
    for block in blocks:
        size = size + sum(map(len, progress.lines)) if begun == progress.ended else 0
        if size > MAX_ROW:
            raise source.too_long(begun + 1)
        begun = progress.ended
        progress.first += len(progress.lines)
        progress.lines = block
        yield block


def _read_lines(source: _Source, encoding: str) -> Iterator[list[str]]:
    """Yield the file's lines with their ends (LF, CRLF or CR), a list for each piece."""
    decoder = IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(), translate=False)
    rest, before = "", 0
    for piece in source.pieces():
        try:
            text = rest + decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            line = before + _count_lines(rest + _decode_start(error))
            fault = f"the bytes are no text in {encoding}. Save the file as UTF-8."
            raise source.refused(line, fault) from error
        _check_nul(source, text, before)
        lines = StringIO(text, newline="").readlines()
        rest = lines.pop() if piece and lines and lines[-1][-1] not in "\r\n" else ""
        if len(rest) > MAX_ROW:
            raise source.too_long(before + len(lines) + 1)
        before += len(lines)
        yield lines


def _check_nul(source: _Source, text: str, before: int) -> None:
    place = text.find("\0")
    if place >= 0:
        raise source.refused(
            before + _count_lines(text[:place]),
            "there is a NUL character (U+0000): the file is no text, or it is UTF-16 without a "
            "byte order mark. Save the file as UTF-8.",
        )


def _count_lines(text: str) -> int:
    """Return the line in which `text` ends, counted from 1."""
    return 1 + sum(1 for _ in _LINE_END.finditer(text))


def _decode_start(error: UnicodeDecodeError) -> str:
    """Return the text that comes before the fault."""
    return error.object[: error.start].decode(error.encoding, errors="ignore")


def _find_delimiter(source: _Source, encoding: str) -> str:
    """Return the delimiter that stands most often in the first row, outside quotes."""
    head = "".join(chain.from_iterable(islice(_read_lines(source, encoding), 2)))
    first = _FIRST_ROW.match(head)
    outside = _QUOTED.sub("", first[1] if first else "")
    return max(_DELIMITERS, key=outside.count)


def _find_encoding(source: _Source) -> tuple[str, str]:
    """Return the file's encoding, and a note if the encoding is a guess."""
    head = source.head()
    _refuse_other_files(source.name, head)
    if head[:2] in _UTF_16:
        return "utf-16", ""
    fault = _find_utf_8_fault(source)
    if fault is None:
        return "utf-8-sig", ""
    is_broken_utf_8 = _search(source, _MULTI_BYTE) is not None
    place = fault if is_broken_utf_8 else _search(source, _NOT_WINDOWS)
    if place is not None:
        text = "the bytes are neither UTF-8 nor Windows-1252. Save the file as UTF-8."
        raise source.refused(_find_line(source, place), text)
    return "cp1252", describe_guess(source.name, [_sample(source, fault)])


def _refuse_other_files(name: str, head: bytes) -> None:
    """Raise CsvError for a file that is clearly something else, and say what it is."""
    found = next((what for start, what in _OTHER_FILES.items() if head.startswith(start)), None)
    halves = (head[:_LOOKED_AT:2], head[1:_LOOKED_AT:2])
    if found is None and any(map(any, halves)) and all(halves) and not all(map(any, halves)):
        found = "UTF-16 without a byte order mark (every other byte is a NUL character)"
    if found:
        raise CsvError(f"{name} cannot be read: it is {found}. {SAVE_RIGHT}")


def _find_utf_8_fault(source: _Source) -> int | None:
    """Return the place of the first byte that is not UTF-8, None if there is none."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    place = 0
    for piece in source.pieces():
        held = len(decoder.getstate()[0])
        try:
            decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            return place - held + error.start
        place += len(piece)
    return None


def _search(source: _Source, pattern: re.Pattern[bytes]) -> int | None:
    """Return the place of the first match; a match has four bytes at most."""
    place, last = 0, b""
    for piece in source.pieces():
        if found := pattern.search(last + piece):
            return place - len(last) + found.start()
        place += len(piece)
        last = (last + piece)[-3:]
    return None


def _find_line(source: _Source, place: int) -> int:
    """Return the line of a byte, counted from 1."""
    line = 1
    for lines in _read_lines(source, "latin-1"):
        for text in lines:
            place -= len(text)
            if place < 0:
                return line
            line += 1
    return line


def _sample(source: _Source, place: int) -> str:
    """Return the cell around a byte."""
    start = max(0, place - 200)
    source.file.seek(start)
    around = source.file.read(400)
    before = _CELL_END.split(around[: place - start])[-1]
    after = _CELL_END.split(around[place - start :])[0]
    return (before + after).decode("cp1252")
