"""Run as a program: say in the database, every second, that an engine lives.

It is a program of its own because no work of the engine can starve another process, and it imports
little, so that it costs little. It ends when the engine does. It says nothing while the engine is
stopped (SIGSTOP, a debugger), or has neither answered nor used the processor for a minute; then
other engines take its work over. Input: a line of JSON with the database and the engine's id, then
a line for each answer of the engine's event loop: the workers of its job queue, as JSON.
"""

import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.errors

BEAT_S = 1.0
#: An engine that neither answers nor uses the processor for so long counts as hung.
HUNG_AFTER_S = 60.0
#: Time limits of the database, in seconds.
CONNECT_S = 2
STATEMENT_S = 5
LOCK_S = 0.3

#: Each is a transaction of its own: a lock that somebody has on one row stops only that sign.
_BEATS = (
    "UPDATE engines SET alive_at = clock_timestamp() WHERE id = %(engine)s",
    "UPDATE procrastinate_workers SET last_heartbeat = clock_timestamp()"
    " WHERE id = ANY(%(workers)s)",
)
_LIMITS = "SET LOCAL lock_timeout = %(lock)s; SET LOCAL statement_timeout = %(limit)s;"


def main() -> None:
    """Beat until the input ends."""
    for number in (signal.SIGINT, signal.SIGTERM):  # they are meant for the engine, which ends us
        signal.signal(number, signal.SIG_IGN)
    lines = _Lines()
    given = lines.read_first()
    engine = _Engine(os.getppid())
    connection = None
    workers: list[int] = []
    while True:
        answers = lines.read(BEAT_S)
        if answers:
            workers = answers[-1]
        if engine.lives(answered=bool(answers)):
            connection = _beat(connection, given, workers)


def _beat(connection: Any, given: dict[str, str], workers: list[int]) -> Any:
    """Beat once; return the connection, or None if the database is away."""
    values = {
        "engine": given["engine"],
        "workers": workers,
        "limit": STATEMENT_S * 1_000,
        "lock": round(LOCK_S * 1_000),
    }
    try:
        if connection is None:
            connection = psycopg2.connect(
                given["database"],
                connect_timeout=CONNECT_S,
                tcp_user_timeout=STATEMENT_S * 1_000,
                application_name="push-pulse",
            )
        for beat in _BEATS:
            with (
                suppress(psycopg2.errors.LockNotAvailable),
                connection,
                connection.cursor() as cursor,
            ):
                cursor.execute(_LIMITS + beat, values)
    except psycopg2.Error as error:
        print(f"The pulse cannot reach the database: {error}".strip(), file=sys.stderr, flush=True)  # noqa: T201 - it has no other log
        if connection is not None:
            connection.close()
        return None
    return connection


class _Lines:
    """The lines of the standard input; the process ends with them."""

    def __init__(self) -> None:
        self._rest = b""

    def read_first(self) -> dict[str, str]:
        while b"\n" not in self._rest:
            self._rest += self._take()
        line, _, self._rest = self._rest.partition(b"\n")
        first: dict[str, str] = json.loads(line)
        return first

    def read(self, for_s: float) -> list[list[int]]:
        """Return the answers that came within `for_s`, which pass in any case."""
        found: list[list[int]] = []
        until = time.monotonic() + for_s
        while (left := until - time.monotonic()) > 0:
            if select.select([0], [], [], left)[0]:
                self._rest += self._take()
            *ends, self._rest = self._rest.split(b"\n")
            found += map(json.loads, ends)
        return found

    def _take(self) -> bytes:
        return os.read(0, 65_536) or sys.exit()


class _Engine:
    """The engine as the kernel sees it."""

    def __init__(self, pid: int) -> None:
        self._stat = Path(f"/proc/{pid}/stat")
        self._cpu = 0
        self._seen_at = time.monotonic()

    def lives(self, *, answered: bool) -> bool:
        state, cpu = self._look()
        if answered or cpu != self._cpu:
            self._cpu, self._seen_at = cpu, time.monotonic()
        return state not in "TtZX" and time.monotonic() - self._seen_at < HUNG_AFTER_S

    def _look(self) -> tuple[str, int]:
        """Return the state of the process, and the ticks of processor time that it has used."""
        try:
            fields = self._stat.read_bytes().rpartition(b")")[2].split()
        except OSError:  # not on Linux: only its answers tell
            return "?", self._cpu
        return fields[0].decode(), int(fields[11]) + int(fields[12])


if __name__ == "__main__":
    main()
