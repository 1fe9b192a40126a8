"""The job library (procrastinate): gives due steps and batches to workers, one worker each."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

import procrastinate
import structlog
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from psycopg.errors import RaiseException

from chassis.postgres import DatabaseAwayError
from push_blaster.adapters.executions.jobs_in_hand import JobsInHand
from push_blaster.domain.delivery.ledger import BatchKey
from push_blaster.domain.operations.silence import SilenceWatch

log = structlog.get_logger()

HEARTBEAT_S: Final = 1.0
POLL_S: Final = 0.5
GRACE_S: Final = 3.0
#: The library would call workers dead by the database's clock, which may jump; we do it ourselves.
NEVER_S: Final = 30 * 86_400.0
_WORKERS: Final = "SELECT id, last_heartbeat FROM procrastinate_workers"
_FORGET: Final = """
    DELETE FROM procrastinate_workers
     WHERE id = ANY(%(workers)s::bigint[]) AND last_heartbeat < now() - interval '1 hour'
"""

ADVANCE: Final = "advance_execution"
SEND_BATCH: Final = "send_batch"
ADVANCE_LIVE: Final = "advance_live"
RUN_TRIAL: Final = "run_trial"
EXECUTIONS: Final = "executions"
LIVE: Final = "live"
BATCHES: Final = "batches"
TRIALS: Final = "trials"
#: How many workers take the steps of live sends, and how many executions one job has at most.
CONCURRENT_LIVE: Final = 8
PER_JOB: Final = 10
#: How many trials of scripts run at once.
CONCURRENT_TRIALS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the jobs do, and how many of each kind run at once.

    Units: a worker that is silent for `dead_after_s` is dead, and other workers get its jobs.
    """

    advance: Callable[[str], None]
    send_batch: Callable[[str, int, int], None]
    run_trial: Callable[[str], None]
    concurrent_executions: int
    concurrent_batches: int
    dead_after_s: float
    on_workers: Callable[[frozenset[int]], None] = lambda _: None


def make_connector(database_url: str) -> procrastinate.PsycopgConnector:
    """Return the queue's own connections; PgBouncer may stand in front of the database."""
    own = {
        "prepare_threshold": None,
        "options": "-c default_transaction_isolation=read\\ committed",
    }
    return procrastinate.PsycopgConnector(
        conninfo=database_url, min_size=1, max_size=8, timeout=5, kwargs=own
    )


class JobQueue:
    """The queue of one engine process, inside an event loop: `async with queue.opened()`."""

    def __init__(self, database_url: str, work: Work) -> None:
        """Take the database that holds the jobs, and what they do."""
        self._work = work
        self.in_hand = JobsInHand(work.on_workers)
        self._silence = SilenceWatch[int](work.dead_after_s)
        self._app = procrastinate.App(connector=make_connector(database_url))
        self._app.task(name=ADVANCE, queue=EXECUTIONS)(work.advance)
        self._app.task(name=ADVANCE_LIVE, queue=LIVE)(self._advance_live)
        self._app.task(name=SEND_BATCH, queue=BATCHES)(work.send_batch)
        self._app.task(name=RUN_TRIAL, queue=TRIALS)(work.run_trial)

    def opened(self) -> Any:
        """Return the context in which the queue may be used."""
        return self._app.open_async()

    def _advance_live(self, execution_ids: Sequence[str]) -> None:
        """Run the step of each execution; the fault of one does not stop the others."""
        for execution_id in execution_ids:
            try:
                self._work.advance(execution_id)
            except DatabaseAwayError:
                raise
            except Exception:
                log.exception("step_not_run", execution=execution_id)

    async def dispatch_live(self, execution_ids: Sequence[str]) -> None:
        """Give due steps of live sends to workers that prepare nothing; one statement for all.

        These jobs have no lock: the fence of an execution keeps a second worker from its step.
        """
        size = min(PER_JOB, ceil(len(execution_ids) / CONCURRENT_LIVE)) or 1
        task = self._app.configure_task(ADVANCE_LIVE, queue=LIVE)
        jobs = [
            task.make_new_job(execution_ids=list(execution_ids[first : first + size]))
            for first in range(0, len(execution_ids), size)
        ]
        if jobs:
            await self._app.job_manager.batch_defer_jobs_async(jobs)

    async def dispatch_executions(self, execution_ids: Sequence[str]) -> None:
        """Give the due step of each execution to a worker; an execution runs one step at a time."""
        for execution_id in execution_ids:
            deferrer = self._app.configure_task(
                ADVANCE, queue=EXECUTIONS, lock=execution_id, queueing_lock=execution_id
            )
            with suppress(AlreadyEnqueued):
                await deferrer.defer_async(execution_id=execution_id)

    async def dispatch_batches(self, keys: Sequence[BatchKey]) -> None:
        """Give each batch to one worker at a time; one statement enqueues all batches."""
        jobs = [
            self._app.configure_task(
                SEND_BATCH, queue=BATCHES, lock=f"{execution_id}/{position}/{batch}"
            ).make_new_job(execution_id=execution_id, position=position, batch=batch)
            for execution_id, position, batch in keys
        ]
        if jobs:
            await self._app.job_manager.batch_defer_jobs_async(jobs)

    async def dispatch_trials(self, run_ids: Sequence[str]) -> None:
        """Give each trial of a script to a worker."""
        for run_id in run_ids:
            deferrer = self._app.configure_task(
                RUN_TRIAL, queue=TRIALS, lock=run_id, queueing_lock=run_id
            )
            with suppress(AlreadyEnqueued):
                await deferrer.defer_async(run_id=run_id)

    async def reap_workers(self) -> None:
        """Drop the jobs of dead workers; their work is still due, and is dispatched again.

        To be called every second. Our own workers are never dead.
        """
        rows = await self._app.connector.execute_query_all_async(_WORKERS)
        signs = {row["id"]: row["last_heartbeat"] for row in rows}
        dead = sorted(self._silence.look(signs, time.monotonic()) - self.in_hand.workers)
        manager = self._app.job_manager
        for job in await manager.list_jobs_async(status="doing"):
            if job.worker_id in (None, *dead) and not self.in_hand.runs(job.id or 0):
                log.warning("dead_worker_found", task=job.task_name, args=job.task_kwargs)
                await self._drop(job)
        if dead:
            await self._app.connector.execute_query_async(_FORGET, workers=dead)

    async def drop_lost_jobs(self) -> None:
        """Drop the jobs that the table assigns to our own workers, and that nobody runs."""
        manager = self._app.job_manager
        in_table = {
            job.id: job
            for worker_id in self.in_hand.workers
            for job in await manager.list_jobs_async(status="doing", worker_id=worker_id)
            if job.id is not None
        }
        for job_id in self.in_hand.find_lost(in_table):
            job = in_table[job_id]
            log.warning("lost_job_found", task=job.task_name, args=job.task_kwargs)
            await self._drop(job)

    async def _drop(self, job: procrastinate.jobs.Job) -> None:
        """Take a job out of the table; its worker, or another engine, may just have done so."""
        try:
            await self._app.job_manager.finish_job(
                job, procrastinate.jobs.Status.FAILED, delete_job=True
            )
        except ConnectorException as error:
            if not isinstance(error.__cause__, RaiseException):
                raise

    async def work_until(self, stop: asyncio.Event) -> None:
        """Run the workers until `stop`; after a fault of the database, start them again."""
        workers = [
            self._keep_working(stop, EXECUTIONS, self._work.concurrent_executions),
            self._keep_working(stop, LIVE, CONCURRENT_LIVE),
            self._keep_working(stop, BATCHES, self._work.concurrent_batches),
            self._keep_working(stop, TRIALS, CONCURRENT_TRIALS),
        ]
        await asyncio.gather(*workers)

    async def _keep_working(self, stop: asyncio.Event, queue: str, concurrency: int) -> None:
        while not stop.is_set():
            worker = asyncio.create_task(
                self._app.run_worker_async(
                    queues=[queue],
                    name=queue,
                    concurrency=concurrency,
                    fetch_job_polling_interval=POLL_S,
                    update_heartbeat_interval=HEARTBEAT_S,
                    stalled_worker_timeout=NEVER_S,
                    shutdown_graceful_timeout=GRACE_S,
                    delete_jobs="always",
                    install_signal_handlers=False,
                    worker_middleware=[self.in_hand.hold],
                )
            )
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait({worker, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            await self._end(worker)
            await self._report(worker)
            if not stop.is_set():
                await asyncio.sleep(1)

    async def _end(self, worker: asyncio.Task[None]) -> None:
        """Cancel a worker until it has ended; jobs that run are waited for.

        Before Python 3.12, a cancellation is lost if it arrives while one of the first statements
        of the worker ends (`asyncio.wait_for`). A second one would cut off the end of a job.
        """
        worker.cancel()
        while not (await asyncio.wait({worker}, timeout=GRACE_S))[0]:
            if self.in_hand.is_empty:
                worker.cancel()

    async def _report(self, worker: asyncio.Task[None]) -> None:
        try:
            await worker
        except asyncio.CancelledError:
            return
        except (ConnectorException, OSError) as error:
            log.warning("worker_lost_its_database", reason=str(error))
