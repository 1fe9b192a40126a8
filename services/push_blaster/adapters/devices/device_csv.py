"""Devices of a CSV or a list, one by one: valid devices, and refused devices with the reasons."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any, Final

from chassis.csv_reader import CsvError, CsvFile, Row, read_csv
from chassis.names import trim_id
from push_blaster.adapters.devices.device_fields import Device, DeviceRefusedError, read_device

#: The possible names of each field's column; the first of them that the file has is taken.
NAMES: Final[Mapping[str, Sequence[str]]] = {
    "userId": ("user_id", "id", "user"),
    "token": ("token", "device_token", "fcm_token", "registration_token", "endpoint", "url", "fid"),
    "kind": ("kind", "type"),
    "platform": ("platform", "os"),
    "timezone": ("timezone", "tz"),
    "language": ("language", "locale", "lang"),
    "appVersion": ("app_version", "version"),
    "lastSeenAt": ("last_seen_at", "last_seen", "updated_at"),
    "p256dh": ("p256dh",),
    "auth": ("auth",),
}


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One row of a file or list: a device, or what is wrong with it.

    Shape: `line` counts the lines of a file from 1, the devices of a list from 0.
    """

    line: int
    device: Device | None
    faults: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was ignored of a valid device."""
        return self.device.notes if self.device else ()

    @property
    def fault(self) -> str:
        """What is wrong, in one text."""
        return "; ".join(self.faults)


@dataclass(frozen=True, slots=True)
class DeviceFile:
    """An open file of devices, and what people should know about it."""

    rows: Iterator[DeviceRow]
    note: str = ""


def read_device_list(
    devices: Iterable[object], now: datetime, push_hosts: Sequence[str]
) -> Iterator[DeviceRow]:
    """Yield the devices of a JSON list; a bad one does not stop the others."""
    for place, given in enumerate(devices):
        try:
            yield DeviceRow(place, read_device(given, now, push_hosts))
        except DeviceRefusedError as refused:
            yield DeviceRow(place, None, refused.lines)


def read_devices(
    file: IO[bytes], name: str, now: datetime, push_hosts: Sequence[str]
) -> DeviceFile:
    """Read the header of `file`; its rows are read as they are asked for.

    Raises: CsvError, also while the rows are read.
    """
    found = read_csv(file, name)
    positions = _find_columns(found)
    return DeviceFile(
        (_read_row(row, positions, now, push_hosts) for row in found.rows),
        found.note_on(positions.values()),
    )


def _find_columns(file: CsvFile) -> dict[str, int]:
    """Return the position of each field's column."""
    positions = {field: file.find_column(*names) for field, names in NAMES.items()}
    tokens = {file.find_column(token_name) for token_name in NAMES["token"]} - {None}
    for column, is_clear in (
        ("token", len(tokens) == 1),
        ("user_id", positions["userId"] is not None),
    ):
        if not is_clear:
            raise CsvError(f"There must be one column {column}. The {file.list_columns()}")
    return {field: position for field, position in positions.items() if position is not None}


def _read_row(
    row: Row, positions: Mapping[str, int], now: datetime, push_hosts: Sequence[str]
) -> DeviceRow:
    line, cells = row
    if isinstance(cells, str):
        return DeviceRow(line, None, (cells,))
    # A cell can be empty and cannot be null: what is not filled in is not changed.
    fields: dict[str, Any] = {
        field: cell
        for field, position in positions.items()
        if (cell := trim_id(cells[position])) or field in {"token", "userId"}
    }
    p256dh, auth = fields.get("p256dh"), fields.get("auth")
    if p256dh or auth:
        fields["keys"] = {"p256dh": p256dh, "auth": auth}
    try:
        return DeviceRow(line, read_device(fields, now, push_hosts))
    except DeviceRefusedError as refused:
        return DeviceRow(line, None, refused.lines)
