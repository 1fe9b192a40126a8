"""A time zone of our own whose clocks change every few minutes, as a file for `PYTHONTZPATH`.

Real zones change twice a year; nobody can wait for that with real processes and a real clock.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate, repeat
from pathlib import Path
from typing import Final

ZONE: Final = "Torture/Restless"
#: How far the clocks go forward, and back again.
SHIFT: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Change:
    """The instant at which the clocks go forward, or back."""

    at: datetime
    is_forward: bool


def plan_changes(first: datetime, every: timedelta, count: int) -> list[Change]:
    """Return `count` changes in turns, forward first."""
    instants = accumulate(repeat(every, count - 1), lambda at, step: at + step, initial=first)
    return [Change(at, number % 2 == 0) for number, at in enumerate(instants)]


def find_skipped(change: Change) -> datetime:
    """Return a wall time in the middle of the minute that this change leaves out."""
    return change.at.replace(tzinfo=None) + SHIFT / 2


def find_repeated(change: Change) -> tuple[datetime, datetime]:
    """Return a wall time that this change brings a second time, and its first instant."""
    first = change.at - SHIFT / 2
    return first.replace(tzinfo=None) + SHIFT, first


def write_zone(folder: Path, changes: Sequence[Change]) -> None:
    """Write the zone, in the format of RFC 8536; before the first change it is UTC."""
    times = struct.pack(f">{len(changes)}q", *(int(c.at.timestamp()) for c in changes))
    kinds = bytes(1 if change.is_forward else 0 for change in changes)
    types = struct.pack(">lBB", 0, 0, 0) + struct.pack(">lBB", int(SHIFT.total_seconds()), 1, 4)
    names = b"STD\0DST\0"
    path = folder / ZONE
    path.parent.mkdir(parents=True)
    path.write_bytes(
        _header(0, 0, 0)
        + _header(len(changes), 2, len(names))
        + (times + kinds + types + names)
        + b"\n\n"
    )


def _header(changes: int, types: int, letters: int) -> bytes:
    return b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, changes, types, letters)
