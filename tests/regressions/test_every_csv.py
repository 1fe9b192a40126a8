"""The five kinds of CSV from outside, in every form that people and programs give them.

Audiences, uploads, devices, opt-outs and histories are read alike: a form of the same rows is read
as the plain one, or the file is refused and the message says why.
"""

import io
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from cadence_service.adapters.history_csv import read_history
from chassis.csv_reader import CsvError
from push_blaster.adapters.audiences.frozen_audiences import (
    EmptyAudienceError,
    freeze_audience,
    read_rows,
)
from push_blaster.adapters.audiences.uploads import read_columns
from push_blaster.adapters.devices.device_csv import read_devices
from push_blaster.adapters.devices.opt_out_csv import Origin, read_opt_outs
from push_blaster.domain.devices.opt_out import Source
from tests.people import ALICE, BOB

NOW: Final = datetime(2026, 11, 30, 12, tzinfo=UTC)
Rows = Sequence[Sequence[str]]


class Found(NamedTuple):
    """What was read: the good rows, and how many are bad."""

    good: Any
    bad: int


def _read_audience(content: bytes, folder: Path) -> Found:
    (folder / "file.csv").write_bytes(content)
    frozen = freeze_audience(folder / "file.csv", folder / "frozen.jsonl", max_size=100)
    rows = read_rows(folder / "frozen.jsonl")
    # The names of variables are as they are written.
    return Found([(row.user_id, *row.variables.values()) for row in rows], len(frozen.bad_rows))


def _read_upload(content: bytes, folder: Path) -> Found:
    columns = read_columns(io.BytesIO(content), "file.csv")
    found = _read_audience(content, folder)
    return Found((len(columns), found.good), found.bad)


def _read_devices(content: bytes, _: Path) -> Found:
    rows = list(read_devices(io.BytesIO(content), "file.csv", NOW, []).rows)
    return Found([row.item for row in rows if row.item], sum(not row.item for row in rows))


def _read_opt_outs(content: bytes, _: Path) -> Found:
    origin = Origin(source=Source.IMPORT, by="", at=NOW)
    rows = list(read_opt_outs(io.BytesIO(content), "file.csv", origin).rows)
    return Found([row.item for row in rows if row.item], sum(not row.item for row in rows))


def _read_history(content: bytes, _: Path) -> Found:
    rows = list(read_history(io.BytesIO(content), "file.csv", NOW).rows)
    return Found([row.send for row in rows if row.send], sum(not row.send for row in rows))


PEOPLE: Final = [("user_id", "first_name"), (str(ALICE), 'Žofie, "Z"; \tA'), (str(BOB), "Bob")]
#: By kind: a table, and how it is read. A cell has a comma, a semicolon, a tab and quotes.
KINDS: Final[dict[str, tuple[Rows, Callable[[bytes, Path], Found]]]] = {
    "audience": (PEOPLE, _read_audience),
    "upload": (PEOPLE, _read_upload),
    "devices": (
        [("user_id", "token", "platform"), (str(ALICE), "a,b;c", "ios"), (str(BOB), "d", "web")],
        _read_devices,
    ),
    "opt-outs": (
        [("user_id", "reason"), (str(ALICE), 'Žofie, "Z"; \tA'), (str(BOB), "too many")],
        _read_opt_outs,
    ),
    "history": (
        [
            ("user_id", "layer_id", "push_title", "sent_at"),
            (str(ALICE), "3", 'Žofie, "Z"; \tA', "2026-11-24"),
            (str(BOB), "2", "Hi", "2026-11-24T10:00:00Z"),
        ],
        _read_history,
    ),
}


def write(rows: Rows, delimiter: str = ",", end: str = "\n", *, quotes_all: bool = False) -> str:
    def cell(text: str) -> str:
        is_plain = not quotes_all and not set(text) & set(',;\t"\r\n')
        return text if is_plain else '"' + text.replace('"', '""') + '"'

    return "".join(delimiter.join(map(cell, row)) + end for row in rows)


def header(rows: Rows, change: Callable[[str], str]) -> bytes:
    return write([[change(name) for name in rows[0]], *rows[1:]]).encode()


def ids(rows: Rows, change: Callable[[str], str]) -> bytes:
    return write([rows[0], *([change(row[0]), *row[1:]] for row in rows[1:])]).encode()


#: Forms that change nothing.
FORMS: Final[dict[str, Callable[[Rows], bytes]]] = {
    "CR": lambda rows: write(rows, end="\r").encode(),
    "CRLF": lambda rows: write(rows, end="\r\n").encode(),
    "CR CR LF": lambda rows: write(rows, end="\r\r\n").encode(),
    "no last line end": lambda rows: write(rows).rstrip("\n").encode(),
    "semicolons": lambda rows: write(rows, ";").encode(),
    "tabs": lambda rows: write(rows, "\t").encode(),
    "all quoted": lambda rows: write(rows, quotes_all=True).encode(),
    "BOM": lambda rows: write(rows).encode("utf-8-sig"),
    "BOM and quotes": lambda rows: write(rows, quotes_all=True).encode("utf-8-sig"),
    "UTF-16 LE": lambda rows: b"\xff\xfe" + write(rows, "\t").encode("utf-16-le"),
    "UTF-16 BE": lambda rows: b"\xfe\xff" + write(rows, quotes_all=True).encode("utf-16-be"),
    "empty lines": lambda rows: ("\n\n" + write(rows, end="\n  \n") + "\n").encode(),
    "upper case": lambda rows: header(rows, str.upper),
    "spaces": lambda rows: header(rows, lambda name: f" {name.replace('_', ' ')} "),
    "camel case": lambda rows: header(rows, lambda name: name.title().replace("_", "")),
    "hyphens": lambda rows: header(rows, lambda name: name.title().replace("_", "-")),
    "invisible header": lambda rows: header(rows, lambda name: f"\u200b{name}\u202c"),
    "ids in upper case": lambda rows: ids(rows, str.upper),
    "invisible in ids": lambda rows: ids(rows, lambda user: f"\u202a \u200b{user}\xa0"),
    "nameless columns": lambda rows: write([[*row, "", ""] for row in rows]).encode(),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_read_as_the_plain_file(kind: str, form: str, tmp_path: Path) -> None:
    rows, read = KINDS[kind]

    found = read(FORMS[form](rows), tmp_path)

    assert found == read(write(rows).encode(), tmp_path)
    assert found.bad == 0


#: Files that are refused as a whole: what they are, and a part of the message.
REFUSED: Final[dict[str, tuple[Callable[[Rows], bytes], str]]] = {
    "nothing": (lambda _: b"", "is empty"),
    "spaces only": (lambda _: b"  \n \n", "is empty"),
    "unclosed quote": (lambda rows: write(rows).encode() + f'{BOB},"x\n'.encode(), "line 4"),
    "text after a quote": (lambda rows: write(rows).encode() + f'{BOB},"x"y\n'.encode(), "line 4"),
    "NUL": (lambda rows: write(rows).encode() + f"{BOB},\0\n".encode(), "line 4"),
    "UTF-16 LE without BOM": (lambda rows: write(rows).encode("utf-16-le"), "NUL"),
    "UTF-16 BE without BOM": (lambda rows: write(rows).encode("utf-16-be"), "NUL"),
    "UTF-16 with half a character": (lambda rows: write(rows).encode("utf-16")[:-1], "line 3"),
    "two encodings": (
        lambda rows: write(rows).encode() + f"{BOB},é\n".encode() + f"{BOB},é\n".encode("cp1252"),
        "line 5",
    ),
    "a cell of 10 MB": (
        lambda rows: write(rows).encode() + f"{BOB},{'x' * 10_000_000}\n".encode(),
        "line 4",
    ),
    "the same column twice": (
        lambda rows: write([[*row, row[1]] for row in rows]).encode(),
        "are one name",
    ),
    "a column in two spellings": (
        lambda rows: write([[*rows[0], rows[0][1].upper()], *rows[1:]]).encode(),
        "are one name",
    ),
    "no user id": (lambda rows: header(rows, lambda name: name.replace("user", "p")), "user_id"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", REFUSED)
def test_a_file_with_a_fault_is_refused_and_the_message_says_where(
    kind: str, fault: str, tmp_path: Path
) -> None:
    rows, read = KINDS[kind]
    make, words = REFUSED[fault]

    with pytest.raises((CsvError, EmptyAudienceError), match=words):
        read(make(rows), tmp_path)


#: Rows that are bad by themselves, beside the good ones.
BAD_ROWS: Final[dict[str, Callable[[Rows], str]]] = {
    "too many cells": lambda rows: ",".join([str(BOB), *["x"] * len(rows[0])]),
    "only delimiters": lambda rows: "," * (len(rows[0]) - 1),
    "no user id": lambda rows: ",x" * (len(rows[0]) - 1),
    "no UUID": lambda rows: ",".join(["7", *["x"] * (len(rows[0]) - 1)]),
    "Ctrl-Z of DOS": lambda _: "\x1a",
    "a cell that is too long": lambda _: f"{BOB},{'x' * 140_000}",
    "the header again": lambda rows: "\ufeff" + ",".join(rows[0]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", BAD_ROWS)
def test_a_bad_row_is_counted_and_costs_no_other_row(kind: str, fault: str, tmp_path: Path) -> None:
    rows, read = KINDS[kind]
    lines = write(rows).splitlines(keepends=True)

    # In the middle, so that the row after it is read, too.
    content = "".join([*lines[:2], BAD_ROWS[fault](rows) + "\n", *lines[2:]])

    found, plain = read(content.encode(), tmp_path), read(write(rows).encode(), tmp_path)
    assert (found.good, found.bad) == (plain.good, 1)


@pytest.mark.parametrize("kind", ["audience", "upload", "devices"])
def test_a_short_row_is_filled_up(kind: str, tmp_path: Path) -> None:
    rows, read = KINDS[kind]
    widened = write([[*rows[0], "more"], *([*row, ""] for row in rows[1:])])
    short = write([[*rows[0], "more"], *rows[1:]])

    assert read(short.encode(), tmp_path) == read(widened.encode(), tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_header_alone_has_no_rows(kind: str, tmp_path: Path) -> None:
    rows, read = KINDS[kind]
    content = write(rows[:1]).encode()

    if kind in {"devices", "opt-outs", "history"}:
        assert read(content, tmp_path) == ([], 0)
        return
    with pytest.raises((CsvError, EmptyAudienceError), match=r"file\.csv"):
        read(content, tmp_path)


def test_the_sample_of_a_guessed_encoding_is_of_a_column_that_is_read() -> None:
    content = (
        "city,user_id,layer_id,push_title,sent_at\n"
        f"Köln,{ALICE},3,Hi,2026-11-24\nBonn,{BOB},3,Grüße,2026-11-24\n"
    )

    history = read_history(io.BytesIO(content.encode("cp1252")), "file.csv", NOW)

    assert "for example 'Grüße'" in history.note
    assert [row.send.texts.push_title for row in history.rows if row.send] == ["Hi", "Grüße"]
