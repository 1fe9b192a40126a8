"""Frequency caps replayed over the pushes that one user got."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `most` pushes of `counted_layers` in any trailing window, for pushes of `layers`."""

    layers: frozenset[int]
    counted_layers: frozenset[int]
    window: timedelta
    most: int


class PastPush(NamedTuple):
    """A push that a user got."""

    layer_id: int
    at: datetime


def find_capped(caps: Iterable[Cap], pushes: Sequence[PastPush], start: datetime) -> list[bool]:
    """Return whether the caps would have capped each push of one user.

    Shape: `pushes` in the order of time; those before `start` happened, whatever the caps say. A
    capped push uses up nothing. A push that is exactly a window old no longer counts, as in the
    cadence service.
    """
    kept: list[tuple[Cap, list[datetime]]] = [(cap, []) for cap in caps]
    capped = []
    for layer_id, at in pushes:
        is_capped = at >= start and any(
            layer_id in cap.layers and len(times) >= cap.most and times[-cap.most] > at - cap.window
            for cap, times in kept
        )
        capped.append(is_capped)
        if not is_capped:
            for cap, times in kept:
                if layer_id in cap.counted_layers:
                    times.append(at)
    return capped
