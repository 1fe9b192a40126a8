"""The memory of the processes of a stack."""

from pathlib import Path
from typing import Final

import psutil

from tests.journeys.stack import Stack

MB: Final = 1024 * 1024
#: No process may need more at any time.
MOST: Final = 400 * MB


def largest(stack: Stack) -> int:
    """Return the most memory that any process of the services needed so far."""
    processes = [psutil.Process(one.pid) for one in (*stack.services, *stack.engines)]
    everyone = [each for one in processes for each in (one, *one.children(recursive=True))]
    return max(int(_peak(each.pid)) for each in everyone)


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
