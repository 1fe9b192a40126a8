"""Keep the embedded PostgreSQL running: start it again after its death, and try until it starts."""

import time
from collections.abc import Callable
from typing import Final

from local_stack.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError

#: The pause after a first failed start; it doubles up to the longest one.
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0


class PostgresKeeper:
    """Starts a server again that has died, with growing pauses while it does not start.

    A full disk keeps PostgreSQL from starting, for example, until somebody makes room.
    """

    def __init__(
        self, server: EmbeddedPostgres, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the server."""
        self._server = server
        self._clock = clock
        self._pause_s = FIRST_PAUSE_S
        self._again_at = clock()

    def look(self) -> None:
        """Start the server if it has died, unless the pause after a failed start is not over."""
        if self._clock() < self._again_at:
            return
        try:
            if self._server.restart_if_dead():
                print("PostgreSQL had died; it runs again.", flush=True)
            self._pause_s = FIRST_PAUSE_S
        except (EmbeddedPostgresError, OSError) as error:
            pause = f"The next try comes in {self._pause_s:.0f} s."
            print(f"PostgreSQL does not start: {error} {pause}", flush=True)
            self._again_at = self._clock() + self._pause_s
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
