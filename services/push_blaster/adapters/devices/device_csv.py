"""Devices of a CSV or a list, one by one: valid devices, and refused devices with the reasons."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import IO, Any, Final

from chassis.csv_reader import CsvError, CsvFile
from push_blaster.adapters.devices.csv_items import USER_NAMES, ItemFile, ItemRow, read_items
from push_blaster.adapters.devices.device_fields import Device, DeviceRefusedError, read_device

#: The possible names of each field's column; the first of them that the file has is taken.
NAMES: Final[Mapping[str, Sequence[str]]] = {
    "userId": USER_NAMES,
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


def accept_device(line: int, device: Device) -> ItemRow[Device]:
    """Return the row of a valid device, with what was ignored of it."""
    return ItemRow(line, device, notes=device.notes)


def read_device_list(
    devices: Iterable[object], now: datetime, push_hosts: Sequence[str]
) -> Iterator[ItemRow[Device]]:
    """Yield the devices of a JSON list; a bad one does not stop the others."""
    for place, given in enumerate(devices):
        yield _read_row(place, given, now, push_hosts)


def read_devices(
    file: IO[bytes], name: str, now: datetime, push_hosts: Sequence[str]
) -> ItemFile[Device]:
    """Read the header of `file`; its rows are read as they are asked for.

    Raises: CsvError, also while the rows are read.
    """

    def read(line: int, given: Mapping[str, str]) -> ItemRow[Device]:
        return _read_row(line, _shape_fields(given), now, push_hosts)

    return read_items(file, name, NAMES, _check_columns, read)


def _check_columns(file: CsvFile) -> None:
    tokens = {file.find_column(token_name) for token_name in NAMES["token"]} - {None}
    for column, is_clear in (
        ("token", len(tokens) == 1),
        ("user_id", file.find_column(*USER_NAMES) is not None),
    ):
        if not is_clear:
            raise CsvError(f"There must be one column {column}. The {file.list_columns()}")


def _shape_fields(given: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a row's cells as the fields of a device.

    A cell can be empty and cannot be null: what is not filled in is not changed.
    """
    fields: dict[str, Any] = {"token": "", "userId": "", **given}
    p256dh, auth = fields.get("p256dh"), fields.get("auth")
    return {**fields, "keys": {"p256dh": p256dh, "auth": auth}} if p256dh or auth else fields


def _read_row(
    line: int, given: object, now: datetime, push_hosts: Sequence[str]
) -> ItemRow[Device]:
    try:
        return accept_device(line, read_device(given, now, push_hosts))
    except DeviceRefusedError as refused:
        return ItemRow(line, None, refused.lines)
