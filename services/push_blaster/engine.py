"""The engine: the process that runs the clock, the steps of executions, and the batches of pushes.

Everything that must last is in PostgreSQL: if this process is killed, another engine continues its
work. Several engines may run at the same time; the database makes each slot fire once.
"""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

import structlog

from chassis.clock import CLOCK, utc_now
from chassis.http.correlation import working_on
from chassis.http.serving import raise_descriptor_limit
from chassis.http.serving_in_thread import ServerInThread
from chassis.postgres import Connection, Database, DatabaseAwayError, compare_clocks
from push_blaster.adapters.audiences.script_run_table import dispatch_trials
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.delivery.batch_table import dispatch_batches
from push_blaster.adapters.executions.execution_table import dispatch_executions
from push_blaster.adapters.executions.job_queue import (
    CONCURRENT_LIVE,
    CONCURRENT_TRIALS,
    JobQueue,
    Work,
)
from push_blaster.adapters.executions.pulse import Pulse
from push_blaster.adapters.operations.engine_table import (
    beat,
    delete_engines,
    name_engine,
    select_life_signs,
)
from push_blaster.adapters.operations.heartbeat_url import ping_heartbeat
from push_blaster.domain.delivery.ledger import BatchKey
from push_blaster.domain.executions.phase import GOING_LIVE, PREPARING
from push_blaster.domain.operations.silence import SilenceWatch
from push_blaster.engine_probes import make_engine_probes
from push_blaster.memory import tidy, tune_collector
from push_blaster.settings import PushSettings
from push_blaster.use_cases.access.audit_chain import chain_changes
from push_blaster.use_cases.audiences.try_script import SILENT_FOR, run_trial, tidy_runs
from push_blaster.use_cases.automations.control_automation import Control
from push_blaster.use_cases.automations.follow_files import FileFollower
from push_blaster.use_cases.automations.follow_versions import VersionFollower
from push_blaster.use_cases.automations.keep_versions import VersionRecorder
from push_blaster.use_cases.cadence.ask_cadence import tell_of_cadence
from push_blaster.use_cases.cadence.count_over_cap import count_over_cap
from push_blaster.use_cases.cadence.track_sends import track_sends
from push_blaster.use_cases.context import SendContext
from push_blaster.use_cases.delivery.close_batches import close_batches
from push_blaster.use_cases.delivery.send_batch import send_batch
from push_blaster.use_cases.engagement.count_results import count_results
from push_blaster.use_cases.engagement.fold_reports import fold_reports, look_at_ended
from push_blaster.use_cases.engagement.tend_sample import tend_sample
from push_blaster.use_cases.executions.advance_execution import advance_execution
from push_blaster.use_cases.executions.ready_sends import ReadySends
from push_blaster.use_cases.executions.steps_in_hand import StepsInHand
from push_blaster.use_cases.executions.stop_execution import end_stopped_executions
from push_blaster.use_cases.operations.keep_time import TimeKeeper
from push_blaster.use_cases.operations.send_notices import leave, send_notices
from push_blaster.use_cases.schedule.bring_back import bring_back
from push_blaster.use_cases.schedule.open_executions import Clock
from push_blaster.use_cases.schedule.send_heartbeat import Heartbeat
from push_blaster.use_cases.schedule.watch_clock import ClockWatch
from push_blaster.use_cases.users.erase_user import erase_users
from push_blaster.wiring import (
    connect_adapters,
    connect_reports,
    make_alert_sender,
    make_send_context,
)

log = structlog.get_logger()

TICK_S: Final = 0.25
#: How often an engine records that it is alive, and counts the engines that are.
BEAT_S: Final = 1.0
#: A step or batch that was dispatched and makes no progress for this long is dispatched again.
DISPATCH_AGAIN: Final = timedelta(seconds=5)
#: How many batches of all executions together may be dispatched at once.
BATCHES_OUT: Final = 64
#: How often an engine counts what users reported.
FOLD_S: Final = 1.0
#: How often an engine looks for conversions of executions that have ended.
LOOK_AGAIN_S: Final = 30.0
#: How often an engine looks for users who are to be erased.
ERASE_S: Final = 1.0
#: How often maintenance and notifications run.
MAINTENANCE_S: Final = 2.0
#: How often memory is tidied.
TIDY_S: Final = 60.0


def run_engine(settings: PushSettings) -> None:
    """Run until SIGTERM or SIGINT; then take no new work, and exit within seconds."""
    os.umask(0o077)
    tune_collector()
    raise_descriptor_limit()
    stopping = threading.Event()
    adapters = connect_adapters(settings)
    engine_id = name_engine()
    context = make_send_context(settings, adapters, stopping.is_set, engine_id)
    if settings.engine.metrics_port:
        probes = make_engine_probes(
            settings.tokens, context.database, metrics_open=settings.metrics_open
        )
        ServerInThread(probes, settings.host, settings.engine.metrics_port)
    _take_time_from(context.database, stopping)
    engine = _Engine(settings, context, adapters.files, stopping)
    code = 0
    try:
        asyncio.new_event_loop().run_until_complete(engine.run())
        log.info("engine_stopped")
    except Exception:
        log.exception("engine_crashed")
        code = 1
    # A thread that still runs a script or a send must not keep a stopped engine alive. Its work is
    # in the database, and an engine resumes it.
    os._exit(code)


def _take_time_from(database: Database, stopping: threading.Event) -> None:
    """Wait for the database, and set the clock by it before anything is decided."""
    while not stopping.is_set():
        database.wait_until_available(sleep=stopping.wait)
        with suppress(DatabaseAwayError), database.transaction() as connection:
            compare_clocks(connection)
            return


@dataclass(slots=True)
class _Due:
    live: list[str]
    executions: list[str]
    batches: list[BatchKey]
    trials: list[str]


class _Engine:
    def __init__(
        self,
        settings: PushSettings,
        context: SendContext,
        files: AutomationFiles,
        stopping: threading.Event,
    ) -> None:
        self._context = context
        self._files = files
        self._stopping = stopping
        self._started_at, self._started = utc_now(), time.monotonic()
        self._beaten_at = -BEAT_S
        self._time = TimeKeeper()
        self._dead_after = settings.engine.dead_after
        self._living: set[str] = set()
        self._clock = Clock(context.database)
        self._follower = FileFollower(files, context.database)
        self._versions = VersionFollower(files, context.database)
        files.on_change = VersionRecorder(context.database, utc_now).note
        self._control = Control(files, context.database)
        self._heartbeat_url = settings.alerts.heartbeat_url
        self._sender = make_alert_sender(settings)
        self._heartbeat = Heartbeat(ClockWatch(files, context.database), self._ping)
        self._threads = (
            settings.engine.concurrent_executions
            + settings.engine.concurrent_batches
            + CONCURRENT_LIVE
            + CONCURRENT_TRIALS
            + 7
        )
        self._wake = asyncio.Event()
        self._sending: set[BatchKey] = set()
        self._steps = StepsInHand()
        self._ready = ReadySends(context, self._look_soon, lambda: CLOCK.holds)
        self._reports = connect_reports(settings, connections=2)
        self._pulse = Pulse(settings.database_url, context.engine_id)
        # A look sees a sign up to a beat after it was given.
        self._silence: SilenceWatch[str] = SilenceWatch(
            max(BEAT_S, self._dead_after.total_seconds() - BEAT_S)
        )
        self._queue = JobQueue(
            settings.database_url,
            Work(
                advance=self._advance,
                send_batch=self._send_batch,
                run_trial=self._run_trial,
                concurrent_executions=settings.engine.concurrent_executions,
                concurrent_batches=settings.engine.concurrent_batches,
                dead_after_s=settings.engine.dead_after.total_seconds(),
                on_workers=self._pulse.answer,
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
            self._ready.start()
            await asyncio.gather(
                asyncio.to_thread(tell_of_cadence, self._context.cadence),
                self._queue.work_until(stop),
                self._repeat(stop, TICK_S, self._tick),
                self._repeat(stop, BEAT_S, self._answer),
                self._repeat(stop, FOLD_S, self._fold),
                self._repeat(stop, LOOK_AGAIN_S, self._look_at_ended),
                self._repeat(stop, TIDY_S, self._tidy),
                self._repeat(stop, ERASE_S, self._erase),
                self._repeat(stop, MAINTENANCE_S, self._end_stopped),
                self._repeat(stop, MAINTENANCE_S, self._maintenance),
                self._repeat(stop, MAINTENANCE_S, self._notify),
            )

        self._ready.close()
        with suppress(DatabaseAwayError):
            leave(self._context, self._sender)

    def _stop(self, stop: asyncio.Event) -> None:
        self._stopping.set()
        stop.set()
        self._wake.set()

    async def _repeat(
        self, stop: asyncio.Event, every_s: float, duty: Callable[[], Awaitable[None]]
    ) -> None:
        """Run `duty` until `stop`; while the database is away, wait and try again."""
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
        event = self._wake if seconds == TICK_S else stop
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return
        self._wake.clear()

    async def _tick(self) -> None:
        due = await asyncio.to_thread(self._find_due)
        if due is None:
            return
        await self._queue.dispatch_live(due.live)
        await self._queue.dispatch_batches(due.batches)
        await self._queue.dispatch_executions(due.executions)
        await self._queue.dispatch_trials(due.trials)
        self._heartbeat.note_tick()

    def _find_due(self) -> _Due | None:
        """Return the due work; None while the clocks disagree, because then it is unknown."""
        if time.monotonic() - self._beaten_at >= BEAT_S:
            self._beat()
        if CLOCK.holds:
            return None
        now = utc_now()
        self._steps.keep(self._context.database, now)
        self._clock.tick(self._files.read_all(), now)
        with self._context.database.transaction() as connection:
            again_before = now - DISPATCH_AGAIN
            return _Due(
                live=dispatch_executions(connection, now, again_before, GOING_LIVE),
                executions=dispatch_executions(connection, now, again_before, PREPARING),
                batches=self._find_batches(connection, now),
                trials=dispatch_trials(connection, now, again_before),
            )

    def _find_batches(self, connection: Connection, now: datetime) -> list[BatchKey]:
        """Return due batches; the first messages of pushes that are due just now go before them."""
        if self._ready.is_going:
            return []
        return dispatch_batches(connection, now, now - DISPATCH_AGAIN, BATCHES_OUT)

    def _look_soon(self) -> None:
        self._loop.call_soon_threadsafe(self._wake.set)

    def _beat(self) -> None:
        engine_id, pacer = self._context.engine_id, self._context.pacer
        with self._context.database.transaction() as connection:
            clocks = self._time.compare(connection)
            beat(connection, engine_id, self._started_at, utc_now(), pacer.describe(), clocks)
            self._living = self._find_living(connection)
        pacer.share(len(self._living))
        self._beaten_at = time.monotonic()

    def _find_living(self, connection: Connection) -> set[str]:
        """Return the engines that live; one that we have seen dies only by its silence."""
        found = select_life_signs(connection, self._dead_after)
        signs = {
            e: sign for e, (sign, is_fresh) in found.items() if is_fresh or self._silence.knows(e)
        }
        return signs.keys() - self._silence.look(signs, time.monotonic())

    async def _answer(self) -> None:
        """Show that the event loop answers, and look for workers whose engines are gone."""
        self._pulse.answer(self._queue.in_hand.workers)
        await self._queue.reap_workers()

    def _is_sure_of_time(self) -> bool:
        with self._context.database.transaction() as connection:
            return self._time.compare(connection).jump is None

    async def _fold(self) -> None:
        """Count what users reported; no other duty waits for it."""
        await asyncio.to_thread(fold_reports, self._reports, self._context.is_shutting_down)

    async def _look_at_ended(self) -> None:
        await asyncio.to_thread(look_at_ended, self._reports, utc_now())

    async def _tidy(self) -> None:
        await asyncio.to_thread(tidy)

    async def _erase(self) -> None:
        """Erase users; a large data folder keeps no other duty waiting."""
        await asyncio.to_thread(erase_users, self._context, self._files)

    async def _end_stopped(self) -> None:
        """Finish stops; a file that cannot be written keeps no other duty waiting."""
        await asyncio.to_thread(self._finish_stops)

    async def _maintenance(self) -> None:
        is_sure = await asyncio.to_thread(self._is_sure_of_time)
        if not is_sure:  # after a jump nobody knows what is due
            return
        await self._queue.drop_lost_jobs()
        await asyncio.to_thread(self._run_maintenance)

    def _finish_stops(self) -> None:
        end_stopped_executions(self._context.database, utc_now())
        self._control.finish_emergency_stop(utc_now())

    def _run_maintenance(self) -> None:
        """Do each part; one that fails, such as by one row that nobody can read, stops no other."""
        for part in (
            self._forget_engines,
            partial(close_batches, self._context),
            partial(track_sends, self._context),
            partial(count_over_cap, self._context),
            partial(count_results, self._context.database),
            lambda: tend_sample(self._context.database, utc_now()),
            self._tidy_runs,
            lambda: self._follower.look(utc_now()),
            lambda: bring_back(self._files, self._context.database, utc_now()),
            lambda: chain_changes(self._context.database, utc_now()),
            lambda: self._versions.look(utc_now()),
        ):
            try:
                part()
            except DatabaseAwayError:
                raise
            except Exception:
                log.exception("duty_failed", duty="maintenance")

    def _forget_engines(self) -> None:
        with self._context.database.transaction() as connection:
            delete_engines(connection, utc_now() - timedelta(hours=1))

    def _tidy_runs(self) -> None:
        if time.monotonic() - self._started > SILENT_FOR.total_seconds():
            tidy_runs(self._context, self._living)

    async def _notify(self) -> None:
        """Send notices to webhooks; no other duty waits for a slow receiver."""
        await asyncio.to_thread(self._deliver_notifications)

    def _deliver_notifications(self) -> None:
        self._heartbeat.send_if_due(utc_now())
        send_notices(self._context, self._sender)

    def _ping(self) -> bool:
        return ping_heartbeat(self._heartbeat_url) if self._heartbeat_url else True

    def _advance(self, execution_id: str) -> None:
        if CLOCK.holds:
            return
        with self._steps.hold(execution_id) as is_free, working_on(execution_id):
            advanced = is_free and advance_execution(self._context, execution_id)
        if advanced:
            self._look_soon()

    def _send_batch(self, execution_id: str, position: int, batch: int) -> None:
        if CLOCK.holds:
            return
        key = BatchKey(execution_id, position, batch)
        self._sending.add(key)
        try:
            with working_on(execution_id):
                send_batch(self._context, key)
        finally:
            self._sending.discard(key)
        if not self._sending:  # else the workers have batches dispatched ahead
            self._look_soon()

    def _run_trial(self, run_id: str) -> None:
        run_trial(self._context, UUID(run_id))
