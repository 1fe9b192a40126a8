"""Devices of a CSV or a list, one by one: valid devices, and refused ones with the reasons."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, TextIO

from push_blaster.adapters.devices.device_fields import Device, DeviceRefusedError, read_device

#: The names that columns may have, in lower case and without spaces, hyphens and underscores.
ALIASES: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("token", "devicetoken", "fcmtoken", "registrationtoken", "endpoint", "url", "fid"), "token"
    ),
    **dict.fromkeys(("userid", "user", "id"), "userId"),
    **dict.fromkeys(("kind", "type"), "kind"),
    **dict.fromkeys(("platform", "os"), "platform"),
    **dict.fromkeys(("timezone", "tz"), "timezone"),
    **dict.fromkeys(("appversion", "version"), "appVersion"),
    **dict.fromkeys(("lastseenat", "lastseen", "updatedat"), "lastSeenAt"),
    "p256dh": "p256dh",
    "auth": "auth",
}


class DeviceCsvError(Exception):
    """The file as a whole cannot be read as devices."""


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One row of a file or list: a device, or what is wrong with it.

    Shape: `line` counts the lines of a file from 1, the devices of a list from 0.
    """

    line: int
    device: Device | None
    faults: tuple[str, ...] = ()

    @property
    def fault(self) -> str:
        """What is wrong, in one text."""
        return "; ".join(self.faults)


def read_device_list(
    devices: Iterable[object], now: datetime, push_hosts: Sequence[str]
) -> Iterator[DeviceRow]:
    """Yield the devices of a JSON list; a bad one does not stop the others."""
    for place, given in enumerate(devices):
        try:
            yield DeviceRow(place, read_device(given, now, push_hosts))
        except DeviceRefusedError as refused:
            yield DeviceRow(place, None, refused.lines)


def read_devices(file: TextIO, now: datetime, push_hosts: Sequence[str]) -> Iterator[DeviceRow]:
    """Yield the rows of `file`, opened with newline=""; DeviceCsvError if columns are missing."""
    reader = csv.reader(file)
    try:
        header = [cell.strip() for cell in next(reader, [])]
    except csv.Error as error:
        raise DeviceCsvError(f"The header is no CSV: {error}.") from error
    names = [ALIASES.get(_bare(cell)) for cell in header]
    for name, usual in (("token", "token"), ("userId", "user_id")):
        if names.count(name) != 1:
            found = ", ".join(header) or "none: the file is empty"
            raise DeviceCsvError(f"There must be one column {usual}. The columns: {found}.")
    return _read_rows(reader, names, partial(read_device, now=now, push_hosts=push_hosts))


def _bare(cell: str) -> str:
    return cell.lower().translate({ord(mark): None for mark in " -_"})


def _read_rows(
    reader: "csv._reader",  # type: ignore[name-defined,unused-ignore]  # has no public name
    names: Sequence[str | None],
    read: Callable[[Mapping[Any, Any]], Device],
) -> Iterator[DeviceRow]:
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield DeviceRow(reader.line_num, None, (str(error),))
            continue
        if cells:
            yield _read_row(reader.line_num, cells, names, read)


def _read_row(
    line: int,
    cells: Sequence[str],
    names: Sequence[str | None],
    read: Callable[[Mapping[Any, Any]], Device],
) -> DeviceRow:
    if len(cells) != len(names):
        return DeviceRow(line, None, (f"{len(cells)} cells, {len(names)} columns",))
    fields: dict[str | None, Any] = {
        name: cell.strip() for name, cell in zip(names, cells, strict=True)
    }
    p256dh, auth = fields.get("p256dh"), fields.get("auth")
    if p256dh or auth:
        fields["keys"] = {"p256dh": p256dh, "auth": auth}
    try:
        return DeviceRow(line, read(fields))
    except DeviceRefusedError as refused:
        return DeviceRow(line, None, refused.lines)
