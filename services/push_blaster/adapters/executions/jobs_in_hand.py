"""Jobs that the queue's table says this process runs, and that this process does not run.

A job ends with a statement that takes it out of the table. If that statement fails, for example
because PostgreSQL restarts, the job stays in the table as running, under a living worker. The lock
in the table then keeps the same execution from every other worker for ever.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from procrastinate import JobContext
from procrastinate.worker import Worker


class JobsInHand:
    """The jobs that the workers of this process run; use it from one event loop only."""

    def __init__(self, on_worker: Callable[[frozenset[int]], None]) -> None:
        """Begin without jobs; `on_worker` takes our workers before a new one begins a job."""
        self._on_worker = on_worker
        self._running: set[int] = set()
        self._workers: set[int] = set()
        self._suspects: frozenset[int] = frozenset()

    @property
    def workers(self) -> frozenset[int]:
        """The ids of the workers that this process has, or had."""
        return frozenset(self._workers)

    @property
    def is_empty(self) -> bool:
        """Whether this process runs no job."""
        return not self._running

    def runs(self, job_id: int) -> bool:
        """Return whether this process runs the job."""
        return job_id in self._running

    async def hold(
        self, run: Callable[[], Awaitable[Any]], context: JobContext, worker: Worker
    ) -> Any:
        """Run a job, and note it as running meanwhile; a worker middleware of procrastinate."""
        if worker.worker_id is not None and worker.worker_id not in self._workers:
            self._workers.add(worker.worker_id)
            self._on_worker(self.workers)
        job_id = context.job.id or 0
        self._running.add(job_id)
        try:
            return await run()
        finally:
            self._running.discard(job_id)

    def find_lost(self, in_table: Iterable[int]) -> frozenset[int]:
        """Return the jobs of our workers that the table has as running, and that nobody runs.

        A job between its end and its statement looks the same. Therefore a job is lost only if it
        was also missing at the previous call.
        """
        missing = frozenset(in_table) - self._running
        lost = missing & self._suspects
        self._suspects = missing - lost
        return lost
