"""Whether this process ends: answers that go on or wait then end at once."""

import threading
from itertools import count
from typing import Final

#: Set by SIGTERM; what waits for something else answers what it knows.
ENDING: Final = threading.Event()
_SIGNALS: Final = count()


def end_waits() -> None:
    """Set `ENDING`; for handlers of signals, of which a second may come within the first.

    An event takes a lock that the second one would wait for, and the first one would not go on.
    """
    if next(_SIGNALS) == 0:
        ENDING.set()
