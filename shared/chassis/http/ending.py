"""Whether this process ends: answers that go on or wait then end at once."""

import threading
from typing import Final

#: Set by SIGTERM; what waits for something else answers what it knows.
ENDING: Final = threading.Event()
