"""The queue's own connections, and jobs that it lost."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest

from chassis.clock import utc_now
from chassis.postgres import Database
from local_stack.embedded_postgres import EmbeddedPostgres
from push_blaster.adapters.executions.job_queue import JobQueue, Work, make_connector


def test_the_queue_leaves_no_statement_on_a_connection(postgres: EmbeddedPostgres) -> None:
    async def ask_often() -> list[int]:
        connector = make_connector(postgres.url("postgres"))
        await connector.open_async()
        try:
            asked = "SELECT count(*) AS n FROM pg_prepared_statements"
            return [(await connector.execute_query_one_async(asked))["n"] for _ in range(10)]
        finally:
            await connector.close_async()

    assert asyncio.run(ask_often()) == [0] * 10


class Desk:
    """A queue over a real database, and what its jobs did."""

    def __init__(self, database: Database, dead_after_s: float = 60) -> None:
        self.done: list[str] = []
        self.begun, self.may_end = threading.Event(), threading.Event()
        self._database = database
        work = Work(
            advance=self._advance,
            send_batch=lambda *_: None,
            run_trial=lambda _: None,
            concurrent_executions=1,
            concurrent_batches=1,
            dead_after_s=dead_after_s,
        )
        self.queue = JobQueue(database.url, work)

    def _advance(self, execution_id: str) -> None:
        if execution_id == "long":
            self.begun.set()
            self.may_end.wait(60)
        if execution_id == "broken":
            raise KeyError(execution_id)
        self.done.append(execution_id)

    def run(self, story: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            stop = asyncio.Event()
            async with self.queue.opened():
                working = asyncio.create_task(self.queue.work_until(stop))
                try:
                    await asyncio.wait_for(story(), 60)
                finally:
                    stop.set()
                    await working

        asyncio.run(run())

    async def until_done(self, jobs: int) -> None:
        while len(self.done) < jobs:
            await asyncio.sleep(0.05)

    def lose_a_job(self, execution_id: str) -> None:
        """Leave a job in the table as running, as where PostgreSQL restarts at its end."""
        with self._database.transaction() as connection, connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, status, worker_id)"
                " SELECT 'executions', 'advance_execution', %s, 'doing', max(id)"
                "   FROM procrastinate_workers WHERE id = %s",
                (execution_id, self.worker_id()),
            )

    def worker_id(self) -> int:
        (worker_id,) = self.queue.in_hand.workers
        return worker_id

    def jobs(self) -> int:
        with self._database.transaction() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM procrastinate_jobs")
            row = cursor.fetchone()
            return int(row[0]) if row else -1


def test_a_job_that_its_living_worker_lost_holds_up_nobody_for_ever(database: Database) -> None:
    desk = Desk(database)

    async def story() -> None:
        await desk.queue.dispatch_executions(["first"])
        await desk.until_done(1)
        desk.lose_a_job("second")
        await desk.queue.dispatch_executions(["second"])
        await desk.queue.drop_lost_jobs()
        assert desk.done == ["first"], "one look is no proof"
        await desk.queue.drop_lost_jobs()
        await desk.until_done(2)

    desk.run(story)

    assert desk.done == ["first", "second"]


def test_engines_that_drop_the_jobs_of_one_dead_worker_at_once_do_not_fail(
    database: Database,
) -> None:
    """Both read the list before either takes a job out of the table."""
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, status)"
            " SELECT 'executions', 'advance_execution', 'doing' FROM generate_series(1, 20)"
        )
    engines = [Desk(database), Desk(database)]

    async def drop_at_once() -> None:
        async with engines[0].queue.opened(), engines[1].queue.opened():
            await asyncio.gather(*(engine.queue.reap_workers() for engine in engines))

    asyncio.run(drop_at_once())

    assert engines[0].jobs() == 0


def test_a_job_that_runs_is_never_taken_for_lost(database: Database) -> None:
    desk = Desk(database)

    async def story() -> None:
        await desk.queue.dispatch_executions(["long"])
        await asyncio.to_thread(desk.begun.wait, 10)
        for _ in range(3):
            await desk.queue.drop_lost_jobs()
        assert desk.jobs() == 1
        desk.may_end.set()
        await desk.until_done(1)

    desk.run(story)

    assert desk.done == ["long"]


def test_a_live_send_waits_for_no_script(database: Database) -> None:
    """All places of preparation are taken, as by ten long scripts."""
    desk = Desk(database)

    async def story() -> None:
        await desk.queue.dispatch_executions(["long"])
        await asyncio.to_thread(desk.begun.wait, 10)
        await desk.queue.dispatch_live([f"live-{n}" for n in range(25)])
        await desk.until_done(25)
        assert "long" not in desk.done
        desk.may_end.set()
        await desk.until_done(26)

    desk.run(story)

    assert sorted(desk.done) == sorted(["long", *(f"live-{n}" for n in range(25))])


def test_an_execution_that_cannot_be_read_delays_no_other(database: Database) -> None:
    desk = Desk(database)
    others = [f"live-{n}" for n in range(25)]

    async def story() -> None:
        await desk.queue.dispatch_live(["broken", *others])
        await desk.until_done(25)

    desk.run(story)

    assert sorted(desk.done) == sorted(others)


def abandon_a_job(database: Database, execution_id: str) -> int:
    """Leave a job in the table as running under another engine's worker; return the worker."""
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "WITH another AS (INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id)"
            " INSERT INTO procrastinate_jobs (queue_name, task_name, lock, status, worker_id)"
            " SELECT 'executions', 'advance_execution', %s, 'doing', id FROM another"
            " RETURNING worker_id",
            (execution_id,),
        )
        row = cursor.fetchone()
    assert row
    return int(row[0])


def set_heartbeat(database: Database, worker: int, to: datetime) -> None:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE procrastinate_workers SET last_heartbeat = %s WHERE id = %s", (to, worker)
        )


@pytest.mark.parametrize("ahead", [timedelta(days=-1), timedelta(hours=2)])
def test_a_worker_whose_heartbeat_stands_still_is_dead_whatever_its_clock_says(
    database: Database, ahead: timedelta
) -> None:
    desk = Desk(database, dead_after_s=2)
    worker = abandon_a_job(database, "left")
    set_heartbeat(database, worker, utc_now() + ahead)

    async def story() -> None:
        await desk.queue.reap_workers()
        assert desk.jobs() == 1, "one look is no proof"
        while desk.jobs():
            await asyncio.sleep(1)
            await desk.queue.reap_workers()

    desk.run(story)


def test_a_worker_whose_old_heartbeat_moves_is_alive(database: Database) -> None:
    desk = Desk(database, dead_after_s=1)
    worker = abandon_a_job(database, "kept")

    async def story() -> None:
        for hours in range(9, 5, -1):
            set_heartbeat(database, worker, utc_now() - timedelta(hours=hours))
            await desk.queue.reap_workers()
            await asyncio.sleep(0.6)

    desk.run(story)

    assert desk.jobs() == 1


def test_an_engine_never_takes_its_own_workers_for_dead(database: Database) -> None:
    desk = Desk(database, dead_after_s=1)

    async def story() -> None:
        await desk.queue.dispatch_executions(["long"])
        await asyncio.to_thread(desk.begun.wait, 10)
        stands_still = utc_now()
        for _ in range(4):
            set_heartbeat(database, desk.worker_id(), stands_still)
            await desk.queue.reap_workers()
            await asyncio.sleep(0.6)
        assert desk.jobs() == 1
        desk.may_end.set()
        await desk.until_done(1)

    desk.run(story)


def cut_connections(database: Database) -> None:
    """End every connection of queues, as a fault of the database does."""
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = ''"
        )


def read_heartbeat(database: Database, execution_id: str) -> datetime | None:
    """Return when the worker of the job has shown life; None if nobody has the job."""
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT w.last_heartbeat FROM procrastinate_jobs j"
            " JOIN procrastinate_workers w ON w.id = j.worker_id WHERE j.lock = %s",
            (execution_id,),
        )
        row = cursor.fetchone()
        return row[0] if row else None


async def until_its_worker_ends(database: Database, execution_id: str) -> None:
    """Cut all connections until the worker of the job shows no life."""
    beat = None
    while beat is None or beat != read_heartbeat(database, execution_id):
        for _ in range(50):
            cut_connections(database)
            await asyncio.sleep(0.02)
        beat = read_heartbeat(database, execution_id)
        await asyncio.sleep(1.5)


def test_a_worker_that_lost_its_database_keeps_its_job_until_the_job_ends(
    database: Database,
) -> None:
    """The library ends such a worker; another engine must not take its job meanwhile."""
    desk, other = Desk(database), Desk(database)

    async def story() -> None:
        await desk.queue.dispatch_executions(["long"])
        await asyncio.to_thread(desk.begun.wait, 10)
        await until_its_worker_ends(database, "long")
        async with other.queue.opened():
            for _ in range(3):
                await other.queue.reap_workers()
                await asyncio.sleep(0.2)
            assert read_heartbeat(database, "long"), "it still belongs to its worker"
            assert desk.done == []
            desk.may_end.set()
            await desk.until_done(1)
            while desk.jobs():  # the worker drops the job, or another engine does it for the worker
                await other.queue.reap_workers()
                await asyncio.sleep(0.05)

    desk.run(story)


def test_workers_that_have_just_begun_end_when_they_are_stopped(database: Database) -> None:
    """A cancellation is lost if it arrives while one of a worker's first statements ends."""

    async def begin_and_stop(after_s: float) -> None:
        queue, stop = Desk(database).queue, asyncio.Event()
        async with queue.opened():
            working = asyncio.create_task(queue.work_until(stop))
            await asyncio.sleep(after_s)
            stop.set()
            await asyncio.wait_for(working, 15)

    async def story() -> None:
        for number in range(2):
            moments = [number * 0.002 + place * 0.004 for place in range(8)]
            await asyncio.gather(*map(begin_and_stop, moments))

    asyncio.run(story())
