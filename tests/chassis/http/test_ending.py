"""The end of a process: signals that come within each other."""

import subprocess
import sys
from typing import Final

#: A second signal comes while the event of the first one holds its lock.
PROGRAM: Final = """
import os, signal
from chassis.http.ending import ENDING, end_waits
signal.signal(signal.SIGTERM, lambda *_: end_waits())
notify = ENDING._cond.notify_all
def interrupted():
    os.kill(os.getpid(), signal.SIGTERM)
    notify()
ENDING._cond.notify_all = interrupted
os.kill(os.getpid(), signal.SIGTERM)
print(ENDING.is_set())
"""


def test_a_second_signal_within_the_first_one_hangs_nothing() -> None:
    program = [sys.executable, "-c", PROGRAM]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=20, check=True)

    assert ended.stdout.strip() == "True"
