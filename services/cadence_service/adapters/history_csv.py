"""The CSV of a history, or of an audience, row by row: good rows, and bad ones with why."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final, TextIO
from uuid import UUID

from cadence_service.adapters.notification_record import MessageTexts
from cadence_service.domain.user_ids import is_user_id

REQUIRED_COLUMNS: Final = ("user_id", "layer_id", "push_title", "sent_at")
ID_COLUMNS: Final = ("user_id", "userid", "id", "user id", "user")
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)


class HistoryCsvError(Exception):
    """The file as a whole cannot be read; `missing_columns` says which ones it lacks."""

    def __init__(self, message: str, missing_columns: Sequence[str] = ()) -> None:
        """Take what is wrong."""
        super().__init__(message)
        self.missing_columns = list(missing_columns)


@dataclass(frozen=True, slots=True)
class PastSend:
    """A send of the past, as a row tells it."""

    user_id: UUID
    layer_id: int
    sent_at: datetime
    texts: MessageTexts


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One row of the file: a send, or what is wrong with it. Rows are counted from 2, as lines."""

    number: int
    send: PastSend | None
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OneSend:
    """What all rows of an audience have in common when it is turned into history."""

    layer_id: int
    sent_at: datetime
    texts: MessageTexts


ReadCells = Callable[[Mapping[str, str]], tuple[PastSend | None, list[str]]]


def read_history(file: TextIO, now: datetime) -> Iterator[HistoryRow]:
    """Yield the rows of a history up to `now`; HistoryCsvError if columns are missing."""
    reader = csv.reader(file)
    header = _read_header(reader)
    missing = [name for name in REQUIRED_COLUMNS if name not in header]
    if missing:
        raise HistoryCsvError(f"Missing columns: {', '.join(missing)}.", missing)
    return _read_rows(reader, header, partial(_read_past_send, now))


def read_audience(file: TextIO, send: OneSend) -> Iterator[HistoryRow]:
    """Yield the rows of an audience as sends; HistoryCsvError if no column has user ids."""
    reader = csv.reader(file)
    header = _read_header(reader)
    column = next((name for name in header if name in ID_COLUMNS), None)
    if column is None:
        raise HistoryCsvError(
            f"No column of user ids ({', '.join(ID_COLUMNS)}). Its columns: {', '.join(header)}.",
            ["user_id"],
        )

    def read_cells(cells: Mapping[str, str]) -> tuple[PastSend | None, list[str]]:
        user_id, errors = _read_user(cells[column])
        if user_id is None:
            return None, errors
        return PastSend(user_id, send.layer_id, send.sent_at, send.texts), []

    return _read_rows(reader, header, read_cells)


def _read_header(reader: Iterator[list[str]]) -> list[str]:
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
    except csv.Error as error:
        raise HistoryCsvError(f"The header is no CSV: {error}.") from error
    if not any(header):
        raise HistoryCsvError("The file is empty: it needs a header and at least one row.")
    return header


def _read_rows(
    reader: Iterator[list[str]], header: Sequence[str], read_cells: ReadCells
) -> Iterator[HistoryRow]:
    number = 1
    while True:
        number += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield HistoryRow(number, None, (str(error),))
            continue
        if fault := _find_fault(cells, header):
            yield HistoryRow(number, None, (fault,))
            continue
        trimmed = (cell.strip() for cell in cells)
        send, errors = read_cells(dict(zip(header, trimmed, strict=True)))
        yield HistoryRow(number, send, tuple(errors))


def _find_fault(cells: Sequence[str], header: Sequence[str]) -> str | None:
    """Return why nothing can be made of a row, whatever its columns mean."""
    if len(cells) != len(header):
        return f"{len(cells)} cells, {len(header)} columns"
    if any("\0" in cell for cell in cells):
        return "it holds the character NUL (U+0000)"
    return None


def _read_past_send(now: datetime, cells: Mapping[str, str]) -> tuple[PastSend | None, list[str]]:
    user_id, errors = _read_user(cells["user_id"])
    layer_id = _read_layer(cells["layer_id"], errors)
    sent_at = _read_instant(cells["sent_at"], now, errors)
    title = cells["push_title"]
    if not title:
        errors.append("push_title is missing")
    if errors or user_id is None or layer_id is None or sent_at is None:
        return None, errors
    texts = MessageTexts(
        title,
        cells.get("push_body") or "",
        cells.get("audience_description") or "Historical Import",
        cells.get("deep_link") or None,
    )
    return PastSend(user_id, layer_id, sent_at, texts), []


def _read_user(text: str) -> tuple[UUID | None, list[str]]:
    if not text:
        return None, ["user_id is missing"]
    if not is_user_id(text):
        return None, [f"user_id {text[:60]!r} is no UUID"]
    return UUID(text), []


def _read_layer(text: str, errors: list[str]) -> int | None:
    if text in {"1", "2", "3", "4", "5"}:
        return int(text)
    errors.append(f"layer_id {text[:20]!r} is no layer (1 to 5)" if text else "layer_id is missing")
    return None


def _read_instant(text: str, now: datetime, errors: list[str]) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        fault = f"{text[:40]!r} is no instant (ISO 8601)" if text else "is missing"
        errors.append(f"sent_at {fault}")
        return None
    instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    if not EARLIEST <= instant <= now:
        errors.append(f"sent_at {text[:40]!r} is not between 1970 and now")
        return None
    return instant.astimezone(UTC)
