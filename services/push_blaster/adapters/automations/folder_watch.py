"""When a folder of files is worth another look."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from chassis.clock import utc_now

#: So much of the time looking may take where only looking shows a change.
SHARE: Final = 0.005
#: A folder's time stamp tells no two changes apart that come closer together.
UNSETTLED: Final = timedelta(milliseconds=50)


class FolderWatch:
    """Tells whether a folder's files may have changed, at the price of one `stat` of the folder.

    A file that is replaced, added or removed changes the folder, and is told of at once. One that
    somebody writes in place does not: for its sake the files are to be looked at again and again,
    as often as that takes a two-hundredth of the time.
    """

    def __init__(self, folder: Path) -> None:
        """Take the folder, at which nobody has looked yet."""
        self._folder = folder
        self._seen: int | None = None
        self._again_at = 0.0

    def may_have_changed(self) -> bool:
        """Return whether to look again."""
        return self._stamp() != self._seen or time.monotonic() >= self._again_at

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Surround the look; what changes while it lasts is told of afterwards."""
        stamp, began = self._stamp(), time.monotonic()
        is_settled = utc_now().timestamp() - stamp / 1e9 > UNSETTLED.total_seconds()
        yield
        ended = time.monotonic()
        self._seen = stamp if is_settled else None
        self._again_at = ended + (ended - began) / SHARE

    def _stamp(self) -> int:
        return self._folder.stat().st_mtime_ns
