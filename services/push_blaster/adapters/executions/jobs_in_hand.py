"""Jobs that the queue's table says this process runs, and that this process does not run.

A job ends with a statement that takes it out of the table. Where that statement fails, as in the
instant in which PostgreSQL restarts, the job stays in the table as running, under a worker that
lives. The table's lock then keeps the same execution from every other worker, for ever.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from procrastinate import JobContext
from procrastinate.worker import Worker


class JobsInHand:
    """What the workers of this process run; to be used from one event loop."""

    def __init__(self) -> None:
        """Begin with nothing in hand."""
        self._running: set[int] = set()
        self._workers: set[int] = set()
        self._suspects: frozenset[int] = frozenset()

    @property
    def workers(self) -> frozenset[int]:
        """The ids of the workers that this process has, or had."""
        return frozenset(self._workers)

    async def hold(
        self, run: Callable[[], Awaitable[Any]], context: JobContext, worker: Worker
    ) -> Any:
        """Run a job, and know it as in hand meanwhile; a worker middleware of procrastinate."""
        if worker.worker_id is not None:
            self._workers.add(worker.worker_id)
        job_id = context.job.id or 0
        self._running.add(job_id)
        try:
            return await run()
        finally:
            self._running.discard(job_id)

    def find_lost(self, in_table: Iterable[int]) -> frozenset[int]:
        """Return which jobs of our workers, running by the table, nobody runs.

        A job between its end and its statement looks the same: only what was missing at the look
        before, too, is lost.
        """
        missing = frozenset(in_table) - self._running
        lost = missing & self._suspects
        self._suspects = missing - lost
        return lost
