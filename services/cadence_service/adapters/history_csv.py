"""The CSV of a history, or of an audience, row by row: good rows, and bad rows with the reason."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import starmap
from typing import IO, Final
from uuid import UUID

from cadence_service.adapters.notification_record import MessageTexts
from cadence_service.domain.user_ids import is_user_id
from chassis.csv_reader import CsvError, CsvFile, read_csv
from chassis.names import trim_id

REQUIRED_COLUMNS: Final = ("user_id", "layer_id", "push_title", "sent_at")
MORE_COLUMNS: Final = ("push_body", "audience_description", "deep_link")
ID_COLUMNS: Final = ("user_id", "id", "user")
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)


class HistoryCsvError(CsvError):
    """The file lacks columns; `missing_columns` says which ones."""

    def __init__(self, message: str, missing_columns: Sequence[str]) -> None:
        """Take what is wrong."""
        super().__init__(message)
        self.missing_columns = list(missing_columns)


@dataclass(frozen=True, slots=True)
class PastSend:
    """A send of the past, as a row describes it."""

    user_id: UUID
    layer_id: int
    sent_at: datetime
    texts: MessageTexts


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One row of the file: a send, or what is wrong with it.

    Shape: `number` is the line in which the row begins, counted from 1.
    """

    number: int
    send: PastSend | None
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HistoryCsv:
    """The rows of a file, read as they are asked for; CsvError may come with each of them.

    Shape: `note` is what a person should know about the file, or empty.
    """

    rows: Iterator[HistoryRow]
    note: str


@dataclass(frozen=True, slots=True)
class OneSend:
    """What all rows of an audience have in common when it is turned into history."""

    layer_id: int
    sent_at: datetime
    texts: MessageTexts


ReadCells = Callable[[Mapping[str, str]], tuple[PastSend | None, list[str]]]


def read_history(file: IO[bytes], name: str, now: datetime) -> HistoryCsv:
    """Read a history up to `now`; CsvError, HistoryCsvError if columns are missing."""
    table = read_csv(file, name)
    columns = {column: table.find_column(column) for column in (*REQUIRED_COLUMNS, *MORE_COLUMNS)}
    missing = [column for column in REQUIRED_COLUMNS if columns[column] is None]
    if missing:
        raise HistoryCsvError(f"Missing columns: {', '.join(missing)}.", missing)
    return _read_rows(table, columns, partial(_read_past_send, now))


def read_audience(file: IO[bytes], name: str, send: OneSend) -> HistoryCsv:
    """Read an audience as sends; CsvError, HistoryCsvError if no column has user ids."""
    table = read_csv(file, name)
    place = table.find_column(*ID_COLUMNS)
    if place is None:
        raise HistoryCsvError(
            f"No column of user ids ({', '.join(ID_COLUMNS)}). Its {table.list_columns()}",
            ["user_id"],
        )

    def read_cells(cells: Mapping[str, str]) -> tuple[PastSend | None, list[str]]:
        user_id, errors = _read_user(cells["user_id"])
        if user_id is None:
            return None, errors
        return PastSend(user_id, send.layer_id, send.sent_at, send.texts), []

    return _read_rows(table, {"user_id": place}, read_cells)


def _read_rows(
    table: CsvFile, columns: Mapping[str, int | None], read_cells: ReadCells
) -> HistoryCsv:
    places = {name: place for name, place in columns.items() if place is not None}

    def read_row(number: int, cells: list[str] | str) -> HistoryRow:
        if isinstance(cells, str):
            return HistoryRow(number, None, (cells,))
        send, errors = read_cells({name: cells[place].strip() for name, place in places.items()})
        return HistoryRow(number, send, tuple(errors))

    return HistoryCsv(starmap(read_row, table.rows), table.note_on(places.values()))


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
    text = trim_id(text)
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
