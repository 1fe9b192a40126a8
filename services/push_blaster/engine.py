"""The engine: a process of its own with the clock, and workers for steps and batches.

Everything that must last is in PostgreSQL; kill this process at any instant and another one, or
the next, goes on. Several may run: the database makes a slot fire once.
"""

import asyncio
import gc
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from chassis.clock import utc_now
from chassis.correlation import working_on
from chassis.postgres import Connection, DatabaseAwayError
from push_blaster.adapters.audiences.script_run_table import hand_out_trials
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.delivery.batch_table import dispatch_batches
from push_blaster.adapters.executions.execution_table import dispatch_executions
from push_blaster.adapters.executions.job_queue import CONCURRENT_TRIALS, JobQueue, Work
from push_blaster.adapters.operations.alert_webhook import AlertWebhook
from push_blaster.adapters.operations.engine_table import beat, delete_engines, select_engines
from push_blaster.adapters.operations.heartbeat_url import ping_heartbeat
from push_blaster.domain.delivery.ledger import BatchKey
from push_blaster.domain.executions.modes import TEST_MODES, Mode
from push_blaster.engine_probes import make_engine_probes, serve_probes
from push_blaster.settings import Settings
from push_blaster.use_cases.audiences.try_script import run_trial, tidy_runs
from push_blaster.use_cases.automations.follow_files import FileFollower
from push_blaster.use_cases.cadence.count_over_cap import count_over_cap
from push_blaster.use_cases.cadence.track_sends import track_sends
from push_blaster.use_cases.context import SendContext
from push_blaster.use_cases.delivery.close_batches import close_batches
from push_blaster.use_cases.delivery.send_batch import send_batch
from push_blaster.use_cases.executions.advance_execution import advance_execution
from push_blaster.use_cases.operations.notify_contacts import tell_contacts
from push_blaster.use_cases.operations.send_alerts import Channel, send_alerts
from push_blaster.use_cases.schedule.open_executions import Clock
from push_blaster.use_cases.schedule.send_heartbeat import SignOfLife
from push_blaster.use_cases.schedule.watch_clock import ClockWatch
from push_blaster.wiring import connect_adapters, make_send_context

log = structlog.get_logger()

TICK_S: Final = 0.25
#: How often an engine says that it is alive, and asks how many others are.
BEAT_S: Final = 1.0
#: A step or batch that was handed out and shows no progress for so long is handed out again.
HAND_OUT_AGAIN: Final = timedelta(seconds=5)
#: Batches that may be in the hands of workers at once, of all executions together.
BATCHES_OUT: Final = 64
#: How often slower duties run: dead workers, sends to be tracked, engines long gone.
ROUNDS_S: Final = 2.0


def run_engine(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; take no new work then, and be gone within seconds."""
    _collect_seldom()
    stopping = threading.Event()
    adapters = connect_adapters(settings)
    engine_id = f"{socket.gethostname()}:{os.getpid()}"
    context = make_send_context(settings, adapters, stopping.is_set, engine_id)
    if settings.engine.metrics_port:
        probes = make_engine_probes(
            settings.tokens, context.database, metrics_open=settings.metrics_open
        )
        serve_probes(probes, settings.host, settings.engine.metrics_port)
    context.database.wait_until_available(sleep=stopping.wait)
    engine = _Engine(settings, context, adapters.files, stopping)
    code = 0
    try:
        asyncio.new_event_loop().run_until_complete(engine.run())
        log.info("engine_stopped")
    except Exception:
        log.exception("engine_crashed")
        code = 1
    # Threads that still hold a script or a send must not keep an engine alive that has stopped or
    # crashed: what they hold is in the database, and is taken up again.
    os._exit(code)


def _collect_seldom() -> None:
    """Look for circles of garbage seldom: messages are in none, and looking at them takes time."""
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


@dataclass(slots=True)
class _Due:
    at: datetime
    executions: list[str]
    batches: list[BatchKey]
    trials: list[str]


class _Engine:
    def __init__(
        self,
        settings: Settings,
        context: SendContext,
        files: AutomationFiles,
        stopping: threading.Event,
    ) -> None:
        self._context = context
        self._files = files
        self._stopping = stopping
        self._started_at = utc_now()
        self._beaten_at = -BEAT_S
        self._dead_after = settings.engine.dead_after
        self._clock = Clock(context.database)
        self._follower = FileFollower(files, context.database)
        self._alerts = settings.alerts
        self._life = SignOfLife(ClockWatch(files, context.database), self._ping)
        self._threads = (
            settings.engine.concurrent_executions
            + settings.engine.concurrent_batches
            + CONCURRENT_TRIALS
            + 4
        )
        self._nudge = asyncio.Event()
        self._sending: set[BatchKey] = set()
        self._queue = JobQueue(
            settings.database_url,
            Work(
                advance=self._advance,
                send_batch=self._send_batch,
                run_trial=self._run_trial,
                concurrent_executions=settings.engine.concurrent_executions,
                concurrent_batches=settings.engine.concurrent_batches,
                dead_after_s=settings.engine.dead_after.total_seconds(),
            ),
        )

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(self._threads))
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop, stop)
        async with self._queue.opened():
            log.info("engine_started", engine=self._context.engine_id)
            await asyncio.gather(
                self._queue.work_until(stop),
                self._repeat(stop, TICK_S, self._tick),
                self._repeat(stop, ROUNDS_S, self._go_round),
                self._repeat(stop, ROUNDS_S, self._tell),
            )

    def _stop(self, stop: asyncio.Event) -> None:
        self._stopping.set()
        stop.set()
        self._nudge.set()

    async def _repeat(
        self, stop: asyncio.Event, every_s: float, duty: Callable[[], Awaitable[None]]
    ) -> None:
        """Run `duty` again and again; a fault of the database is waited out."""
        while not stop.is_set():
            try:
                await duty()
            except DatabaseAwayError as error:
                log.warning("database_awaited", reason=str(error))
                await asyncio.sleep(1)
            except Exception:
                log.exception("duty_failed", duty=duty.__name__)
                await asyncio.sleep(1)
            await self._rest(stop, every_s)

    async def _rest(self, stop: asyncio.Event, seconds: float) -> None:
        wake = self._nudge if seconds == TICK_S else stop
        try:
            await asyncio.wait_for(wake.wait(), seconds)
        except TimeoutError:
            return
        self._nudge.clear()

    async def _tick(self) -> None:
        due = await asyncio.to_thread(self._find_due)
        await self._queue.hand_out_executions(due.executions)
        await self._queue.hand_out_batches(due.batches)
        await self._queue.hand_out_trials(due.trials)
        self._life.note_tick(due.at)

    def _find_due(self) -> _Due:
        now = utc_now()
        self._clock.tick(self._files.read_all(), now)
        with self._context.database.transaction() as connection:
            if time.monotonic() - self._beaten_at >= BEAT_S:
                self._beat(connection, now)
            again_before = now - HAND_OUT_AGAIN
            return _Due(
                at=now,
                executions=dispatch_executions(connection, now, again_before),
                batches=dispatch_batches(connection, now, again_before, BATCHES_OUT),
                trials=hand_out_trials(connection, now, again_before),
            )

    def _beat(self, connection: Connection, now: datetime) -> None:
        pacer = self._context.pacer
        beat(connection, self._context.engine_id, self._started_at, now, pacer.describe())
        pacer.share(len(select_engines(connection, now - self._dead_after)))
        self._beaten_at = time.monotonic()

    async def _go_round(self) -> None:
        await self._queue.bury_dead()
        await asyncio.to_thread(self._keep_books)

    def _keep_books(self) -> None:
        with self._context.database.transaction() as connection:
            delete_engines(connection, utc_now() - timedelta(hours=1))
        close_batches(self._context)
        track_sends(self._context)
        count_over_cap(self._context)
        tidy_runs(self._context)
        self._follower.look(utc_now())

    async def _tell(self) -> None:
        """Tell the world outside; however slowly it listens, nothing else waits for it."""
        await asyncio.to_thread(self._tell_outside)

    def _tell_outside(self) -> None:
        self._life.show(utc_now())
        if self._alerts.url:
            webhook = AlertWebhook(self._alerts.url)
            tell_contacts(self._context, webhook)
            send_alerts(self._context, Channel(webhook, self._alerts.events, {Mode.LIVE}))
        if self._alerts.test_url:
            webhook = AlertWebhook(self._alerts.test_url)
            send_alerts(self._context, Channel(webhook, self._alerts.events, TEST_MODES))

    def _ping(self) -> bool:
        url = self._alerts.heartbeat_url
        return ping_heartbeat(url) if url else True

    def _advance(self, execution_id: str) -> None:
        with working_on(execution_id):
            advanced = advance_execution(self._context, execution_id)
        if advanced:
            self._loop.call_soon_threadsafe(self._nudge.set)

    def _send_batch(self, execution_id: str, position: int, batch: int) -> None:
        key = BatchKey(execution_id, position, batch)
        self._sending.add(key)
        try:
            with working_on(execution_id):
                send_batch(self._context, key)
        finally:
            self._sending.discard(key)
        if not self._sending:  # the others are followed by what has been handed out ahead
            self._loop.call_soon_threadsafe(self._nudge.set)

    def _run_trial(self, run_id: str) -> None:
        run_trial(self._context, UUID(run_id))
