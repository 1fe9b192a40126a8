"""Find a user in files, and mask the rows that name the user; every other byte stays there."""

import codecs
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, NamedTuple
from uuid import UUID

import orjson

from push_blaster.domain.users.erasure import Traces

_PIECE: Final = 4 * 1024 * 1024
#: A row of a CSV that seems to be longer has a quote too many: it ends with its line.
_LONGEST_ROW: Final = 1024 * 1024
#: One byte is one letter, so that a row of any 8-bit encoding keeps its length.
_BYTES: Final = "latin-1"
_UTF16: Final = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
#: Letters and digits of every script.
_WORD: Final = re.compile("[0-9A-Za-z\x80-\U0010ffff]")
_ID: Final = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
#: The fields of a line that are kept, beside the user's.
_KEPT: Final = frozenset({"sentAt"})


class _Mask(NamedTuple):
    """Where a row lies that names the user, where its id is, and what stands there instead."""

    offset: int
    id_begins: int
    id_ends: int
    row: bytes


def find_files(folder: Path) -> Iterator[Path]:
    """Yield the regular files of a folder and of the folders in it; links are not followed."""
    for place, _, names in os.walk(folder):
        paths = (Path(place) / name for name in sorted(names))
        yield from (path for path in paths if path.is_file() and not path.is_symlink())


def names_user(path: Path, traces: Traces) -> bool:
    """Return whether a file names the user, in UTF-8 or UTF-16; one that is gone does not."""
    spelled = (str(traces.user_id), traces.user_id.hex)
    codes = ("ascii", "utf-16-le", "utf-16-be")
    needles = [text.encode(code) for text in spelled for code in codes]
    overlap, end = max(map(len, needles)), b""
    with suppress(FileNotFoundError), path.open("rb") as file:
        while piece := file.read(_PIECE):
            lowered = end + piece.lower()
            if any(needle in lowered for needle in needles):
                return True
            end = lowered[-overlap:]
    return False


def find_ids(folder: Path) -> Iterator[UUID]:
    """Yield every id in the files of a folder, with its hyphens; one may come several times."""
    for path in find_files(folder):
        code = _find_code(path)
        with path.open(encoding=code, errors="replace") as file:
            for line in file:
                yield from (UUID(found) for found in _ID.findall(line))


def mask_rows(path: Path, traces: Traces) -> None:
    """Mask every row that names the user, in the file itself; others may append to it meanwhile.

    The id goes last: if the process is killed before that, the row is found again.
    """
    with path.open("r+b") as file:
        for at, begins, ends, row in list(_find_masks(path, traces)):
            os.pwrite(file.fileno(), row[ends:], at + ends)
            os.pwrite(file.fileno(), row[:begins], at)
            os.pwrite(file.fileno(), row[begins:ends], at + begins)
        os.fsync(file.fileno())


def mask_ids(path: Path, traces: Traces) -> None:
    """Replace each mention in a file by one of the same length; the rows stay what they say."""
    with path.open("r+b") as file:
        text = _replace_ids(file.read().decode(_BYTES), traces)
        for token in (one for one in traces.tokens if one.isascii()):
            text = text.replace(token, "x" * len(token))
        os.pwrite(file.fileno(), text.encode(_BYTES), 0)


def _find_masks(path: Path, traces: Traces) -> Iterator[_Mask]:
    is_json = path.suffix == ".jsonl"
    code = _find_code(path)
    offset = 0 if code == _BYTES else 2
    with path.open(encoding=code, errors="surrogatepass", newline="") as rows:
        rows.seek(offset)
        for row in _read_rows(rows, is_csv=not is_json):
            size = len(_encode(row, code))
            found = re.search(traces.pattern, row, re.IGNORECASE)
            if found:
                masked = _mask_json(row, traces) if is_json else _mask_cells(row, traces)
                begins, ends = (len(_encode(row[:at], code)) for at in found.span())
                yield _Mask(offset, begins, ends, _encode(masked, code))
            offset += size


def _find_code(path: Path) -> str:
    with path.open("rb") as file:
        return _UTF16.get(file.read(2), _BYTES)


def _encode(text: str, code: str) -> bytes:
    return text.encode(code, "surrogatepass") if code != _BYTES else text.encode(code)


def _read_rows(file: IO[str], *, is_csv: bool) -> Iterator[str]:
    """Yield the rows of a file as they are; a row of a CSV may have several lines in quotes."""
    row = ""
    for line in file:
        row += line
        if is_csv and row.count('"') % 2 and len(row) < _LONGEST_ROW:
            continue
        yield row
        row = ""
    if row:
        yield row


def _mask_cells(row: str, traces: Traces) -> str:
    """Return a row of a CSV with as many cells, in which only the stand-in can be read."""
    parts = re.split(f"({traces.pattern})", row, flags=re.IGNORECASE)
    return "".join(
        _replace_ids(part, traces) if place % 2 else _WORD.sub(_cross_out, part)
        for place, part in enumerate(parts)
    )


def _cross_out(letter: re.Match[str]) -> str:
    """Return as many units of UTF-16 as the letter has."""
    return "x" * (2 if ord(letter[0]) > 0xFFFF else 1)


def _replace_ids(text: str, traces: Traces) -> str:
    def spell(found: re.Match[str]) -> str:
        size = len(found[0])
        is_usual = size == len(str(traces.stand_in))
        return str(traces.stand_in) if is_usual else traces.stand_in.hex.ljust(size, "0")

    return re.sub(traces.pattern, spell, text, flags=re.IGNORECASE)


def _mask_json(line: str, traces: Traces) -> str:
    """Return an object of JSON with the same fields, which is as long; all of it is empty."""
    body = line.rstrip("\r\n")
    try:
        found = orjson.loads(body.encode(_BYTES))
        masked = orjson.dumps(_empty(found, traces)).decode(_BYTES)
    except (ValueError, TypeError):
        masked = "{}"
    return (masked if len(masked) <= len(body) else "{}").ljust(len(body)) + line[len(body) :]


def _empty(line: dict[str, Any], traces: Traces) -> dict[str, Any]:
    """Return a line in which only the stand-in and its instant can be read."""
    emptied: dict[str, Any] = {name: _EMPTY.get(type(value), value) for name, value in line.items()}
    kept = {name: line[name] for name in _KEPT & line.keys()}
    return {**emptied, **kept, "userId": str(traces.stand_in)}


_EMPTY: Final[dict[type, object]] = {str: "", dict: {}, list: []}
