"""Whether the files of a folder may have changed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

#: The share of time that repeated reading may take.
SHARE: Final = 0.005
#: Two changes within this time may leave the same time stamp on the folder.
UNSETTLED: Final = timedelta(milliseconds=50)


class FolderWatch:
    """Knows whether a folder's files may have changed, by one `stat` of the folder.

    A file that is replaced, added or removed changes the folder, and is noticed at once. A file
    that somebody writes in place does not change the folder. Therefore all files are read again
    from time to time; this takes a two-hundredth of the time.
    """

    def __init__(self, folder: Path) -> None:
        """Take the folder."""
        self._folder = folder
        self._seen: int | None = None
        self._again_at = 0.0
        self._stood = (0, 0.0)  # the stamp that was found last, and since when

    def may_have_changed(self) -> bool:
        """Return whether to read the files again."""
        return self._stamp() != self._seen or time.monotonic() >= self._again_at

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Wrap the reading; a change during the reading is noticed at the next call."""
        stamp, began = self._stamp(), time.monotonic()
        if stamp != self._stood[0]:
            self._stood = (stamp, began)
        is_settled = began - self._stood[1] > UNSETTLED.total_seconds()
        yield
        ended = time.monotonic()
        self._seen = stamp if is_settled else None
        self._again_at = ended + (ended - began) / SHARE

    def _stamp(self) -> int:
        return self._folder.stat().st_mtime_ns
