"""A wall clock that tests set, for processes of their own: everything in them reads it.

Monotonic time stays as it is, as with a real clock that somebody sets. libfaketime cannot do that
with Python 3.11, whose `time.sleep` it breaks unless it fakes monotonic time as well.
"""

import os
import struct
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from tests.programs import find_program

SOURCE: Final = Path(__file__).with_suffix(".c")


@dataclass(frozen=True, slots=True)
class SetClock:
    """The clock of the processes that are started with its environment."""

    file: Path
    library: Path

    def set(self, ahead: timedelta) -> None:
        """Let the clock be so far ahead of the true one from now on."""
        nanoseconds = round(ahead.total_seconds() * 1_000_000_000)
        file = os.open(self.file, os.O_WRONLY | os.O_CREAT, 0o644)
        os.pwrite(file, struct.pack("q", nanoseconds), 0)
        os.close(file)

    @property
    def environment(self) -> Mapping[str, str]:
        return {"LD_PRELOAD": str(self.library), "SET_CLOCK_FILE": str(self.file)}


def make_clock(folder: Path, name: str, ahead: timedelta = timedelta(0)) -> SetClock:
    """Make a clock; its library is compiled once for each folder."""
    library = folder / "set_clock.so"
    if not library.exists():
        compiler = find_program("cc", "REQUIRE_CC")
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, SOURCE], check=True)
    clock = SetClock(folder / name, library)
    clock.set(ahead)
    return clock
