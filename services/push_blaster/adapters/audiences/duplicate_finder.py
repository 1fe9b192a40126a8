"""Finds duplicates among millions of users: on disk, in constant memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: A row: the user's id as two numbers, and the line of the CSV.
_ROW: Final = np.dtype([("head", ">u8"), ("tail", ">u8"), ("line", "<u8")])
#: About how many rows are compared at once, and how many are read at once.
BUCKET: Final = 500_000
CHUNK: Final = 500_000
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)


class DuplicateFinder:
    """The users of a file in order, on disk; 24 bytes each."""

    def __init__(self, path: Path) -> None:
        """Take the file to write to; it is deleted by `close`."""
        self._path = path
        self._file = path.open("wb")
        self.count = 0

    def add(self, user: bytes, line: int) -> None:
        """Add the next user, and the user's line."""
        self._file.write(user + line.to_bytes(8, "little"))
        self.count += 1

    def find_repeats(self) -> NDArray[Any]:
        """Return the places and lines of repeated users, in order.

        Shape: rows of `place`, counted from 0, and `line`.
        """
        self._file.flush()
        buckets = 1 + self.count // BUCKET
        found = np.concatenate([self._find_in(bucket, buckets) for bucket in range(buckets)])
        return found[np.argsort(found["place"])]

    def close(self) -> None:
        """Delete the file."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _find_in(self, bucket: int, buckets: int) -> NDArray[Any]:
        chosen = [self._choose(rows, at, bucket, buckets) for at, rows in self._read_buckets()]
        rows = np.concatenate(chosen) if chosen else np.empty(0, _PLACED)
        rows = rows[np.lexsort((rows["place"], rows["tail"], rows["head"]))]
        is_repeat = np.zeros(len(rows), dtype=bool)
        is_repeat[1:] = (rows["head"][1:] == rows["head"][:-1]) & (
            rows["tail"][1:] == rows["tail"][:-1]
        )
        return rows[is_repeat][["place", "line"]]

    def _choose(
        self, rows: NDArray[Any], first_place: int, bucket: int, buckets: int
    ) -> NDArray[Any]:
        head, tail = rows["head"].astype(np.uint64), rows["tail"].astype(np.uint64)
        mixed = ((head ^ (tail * _MIX)) * _MIX) >> np.uint64(40)
        places = np.flatnonzero(mixed % np.uint64(buckets) == bucket)
        chosen = np.empty(len(places), _PLACED)
        chosen["head"], chosen["tail"] = head[places], tail[places]
        chosen["line"], chosen["place"] = rows["line"][places], places + first_place
        return chosen

    def _read_buckets(self) -> Iterator[tuple[int, NDArray[Any]]]:
        for place in range(0, self.count, CHUNK):
            yield place, np.fromfile(self._path, _ROW, CHUNK, offset=place * _ROW.itemsize)


_PLACED: Final = np.dtype([("head", "u8"), ("tail", "u8"), ("line", "u8"), ("place", "u8")])
