"""The world of the torture: every process, their supervisor, and neighbours that misbehave."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import psycopg2
import requests

from chassis.clock import utc_now
from local_stack.embedded_postgres import EmbeddedPostgres, run_postgres
from tests.fakes.fcm_server import FcmServer, run_fcm_server
from tests.fakes.fcm_settings import fcm_settings
from tests.fakes.fickle_proxy import FickleProxy, Mood, run_proxy
from tests.fakes.set_clock import SetClock, make_clock
from tests.fakes.token_server import make_key, run_token_server
from tests.journeys.stack import Stack, running_stack, user, wait_until
from tests.torture.changing_clock import Change, plan_changes, write_zone
from tests.torture.evidence import Accepted
from tests.torture.schedule import Blow
from tests.torture.trouble import BEGIN, END, alter_database

ENGINES: Final = 2
TESTER: Final = 1
#: A commit survives the server's death, though not the machine's, and that is not tried here.
POSTGRES: Final = {"fsync": "off", "full_page_writes": "off"}
SETTINGS: Final = {
    # Small batches, slowly: a send lasts long enough to be killed in.
    "PUSH_RATE_PER_MINUTE": "18000",
    "PUSH_BATCH_SIZE": "40",
    "PUSH_WEB_WORKERS": "1",
    "PUSH_ENGINE_DEAD_AFTER_SECONDS": "2",
    "PUSH_SCRIPT_TIMEOUT_SECONDS": "5",
    "FCM_ANSWER_TIMEOUT_SECONDS": "3",
    "HELD_S": "20",
}
HELD_ENGINE: Final = Path(__file__).parents[1] / "journeys" / "held_engine.py"
#: How far the clocks of engines are off at the start.
OFF: Final = timedelta(minutes=5)
#: How far the clock of the host jumps, and how soon after a jump each engine knows of it.
HOST_JUMP: Final = timedelta(seconds=6)
KNOWN_S: Final = 3.0
#: The clocks change so soon after the start, and again and again.
FIRST_CHANGE: Final = timedelta(seconds=50)
CHANGES_EVERY: Final = timedelta(minutes=3)

#: Whom it means is moved within PARAM_SPAN by the execution's id, as collect.py works out again.
#: One in a hundred devices is gone; a few misbehave once, unless PARAM_CALM is set: see
#: tests/fakes/fcm_server.py.
SCRIPT: Final = """
import csv, hashlib, os, sys, time, uuid
first, users = int(os.environ["PARAM_FIRST"]), int(os.environ["PARAM_USERS"])
digest = hashlib.sha256(os.environ["EXECUTION_ID"].encode()).hexdigest()
first += int(digest[:8], 16) % int(os.environ.get("PARAM_SPAN", "1"))
mood = os.environ["PARAM_MOOD"]
notes, me = os.environ["SCRIPT_FOLDER"], os.environ["EXECUTION_ID"]
mark = f"{notes}/run-{digest[:16]}"
try:  # the run before, if it lives still; its number may be another process's by now
    with open("/proc/" + open(mark).read() + "/environ") as there:
        if "EXECUTION_ID=" + me in there.read().split("\\0"):
            with open(notes + "/overlaps.txt", "a") as noted:
                noted.write(me + "\\n")
except OSError:
    pass
with open(mark, "w") as own:
    own.write(str(os.getpid()))
print("this script is", mood, flush=True)
if mood == "failing":
    sys.exit("out of order")
time.sleep({"slow": float(os.environ.get("PARAM_SLOW_S", "2")), "hanging": 3600}.get(mood, 0))
words = {10: "cut-1", 11: "goaway-1", 12: "down-2", 13: "busy-1", 14: "hang-1", 15: "slow-1"}
if os.environ.get("PARAM_CALM"):
    words = {}
for audience in os.environ.get("PARAM_AUDIENCES", "everybody").split():
    path = os.path.join(os.environ["OUTPUT_PATH"], audience + ".csv")
    with open(path, "w", newline="") as f:
        table = csv.writer(f)
        table.writerow(["user_id", "first_name", "device_token"])
        for n in range(first, first + users):
            lot = n * 7919 % 1000
            word = "unregistered-x" if lot < 10 else words.get(lot, "ok")
            table.writerow([uuid.UUID(int=n), f"Name {n}", f"{word}-{n}"])
"""


@dataclass
class World:
    """Everything that runs. Only the main thread kills and starts: the kernel watches it."""

    stack: Stack
    postgres: EmbeddedPostgres
    fcm: FcmServer
    cadence: FickleProxy
    changes: list[Change]
    replicas: int = 1
    #: The clock of the machine of PostgreSQL and of the engines, if somebody sets it.
    host: SetClock | None = None
    accepted: list[Accepted] = field(default_factory=list)
    left_by_themselves: list[str] = field(default_factory=list)
    #: What makes a part well again, and when.
    _cures: dict[tuple[Blow, int], tuple[float, Callable[[], None]]] = field(default_factory=dict)
    #: How far the clock of each engine is off by itself, and how far the host's is ahead.
    _own: dict[int, timedelta] = field(default_factory=dict)
    _ahead: timedelta = timedelta(0)
    _known_at: float = 0.0

    def kill(
        self, blow: Blow, target: int, for_s: float, how: signal.Signals = signal.SIGKILL
    ) -> None:
        """End a part by kill -9, with all its children, and let it lie for a while."""
        number = target % self.count(blow)
        if (blow, number) in self._cures:
            self._cure(blow, number)
        pid = self.pid(blow, number)
        # PostgreSQL's own children notice by themselves; killing them would hide whether they do.
        end = os.kill if blow is Blow.KILL_POSTGRES else os.killpg
        end(pid, how)
        self._cure_in(for_s, blow, number, lambda: self._revive(blow, number))

    def freeze(self, blow: Blow, number: int, for_s: float) -> None:
        """Let a part stand still for a while, as a machine does that is out of memory."""
        if (blow, number) in self._cures:
            return  # it is dead, or stands still already
        pid = self.pid(blow, number)
        os.killpg(pid, signal.SIGSTOP)
        self._cure_in(for_s, blow, number, lambda: os.killpg(pid, signal.SIGCONT))

    def hold(self, target: int) -> None:
        """Let nothing in an engine run Python for HELD_S seconds; the engine lives meanwhile.

        An engine that is just starting is left alone: without its handler the signal would end it.
        """
        number = target % ENGINES
        if (Blow.KILL_ENGINE, number) not in self._cures:
            pid = self.pid(Blow.KILL_ENGINE, number)
            if catches(pid, signal.SIGUSR2):
                os.kill(pid, signal.SIGUSR2)

    def choose_part(self, target: int) -> tuple[Blow, int]:
        """Return one of the parts that are programs of ours."""
        parts = self.parts()
        return parts[target % len(parts)]

    def trouble(self, blow: Blow, target: int, for_s: float) -> None:
        """Let one of the two databases refuse what it took before, for a while."""
        urls = (self.stack.database_url, self.stack.cadence_database_url)
        number = target % len(urls)
        if (blow, number) not in self._cures:
            database = urlsplit(urls[number]).path.removeprefix("/")
            alter_database(self.postgres.url("postgres"), database, BEGIN[blow])
            self._cure_in(for_s, blow, number, lambda: self._end_trouble(blow, number, database))

    def _end_trouble(self, blow: Blow, number: int, database: str) -> None:
        if not alter_database(self.postgres.url("postgres"), database, END[blow]):
            self._cure_in(0.5, blow, number, lambda: self._end_trouble(blow, number, database))

    def count(self, blow: Blow) -> int:
        """Return how many there are of the part that `blow` kills."""
        return {Blow.KILL_ENGINE: ENGINES, Blow.KILL_CADENCE: self.replicas}.get(blow, 1)

    def parts(self) -> list[tuple[Blow, int]]:
        """Return every part that is a program of ours."""
        ours = (Blow.KILL_ENGINE, Blow.KILL_WEB, Blow.KILL_CADENCE)
        return [(blow, number) for blow in ours for number in range(self.count(blow))]

    def pid(self, blow: Blow, number: int) -> int:
        """Return the process id of a part, or of what is left of it."""
        pid = self.postgres.pid if blow is Blow.KILL_POSTGRES else self._process(blow, number).pid
        assert pid
        return pid

    def set_weather(self, word: str, for_s: float) -> None:
        """Let the provider behave so to everybody, for a while."""
        self.fcm.weather = word
        self._cure_in(for_s, Blow.WEATHER, 0, self._calm_provider)

    def set_clock(self, target: int, ahead: timedelta) -> None:
        """Set the wall clock of an engine; nothing sets it right again."""
        self._own[target % len(self.stack.clocks)] = ahead
        self._set_clocks(self._ahead)

    def jump_host(self, for_s: float) -> None:
        """Let the clocks of PostgreSQL and of all engines jump together, and back after a while."""
        self._set_clocks(HOST_JUMP)
        self._cure_in(for_s, Blow.HOST, 0, lambda: self._set_clocks(timedelta(0)))

    def _set_clocks(self, ahead: timedelta) -> None:
        if self._ahead != ahead:
            self._ahead, self._known_at = ahead, time.monotonic() + KNOWN_S
        if self.host:
            self.host.set(ahead)
        for number, clock in enumerate(self.stack.clocks):
            clock.set(self._own[number] + ahead)

    def now(self) -> datetime:
        """Return the time of the database; just after a jump back, what engines take for it."""
        is_back = not self._ahead and time.monotonic() < self._known_at
        return utc_now() + (HOST_JUMP if is_back else self._ahead)

    def set_mood(self, mood: str, for_s: float) -> None:
        """Let the cadence service behave so, for a while."""
        self.cadence.mood = Mood[mood]
        self._cure_in(for_s, Blow.MOOD, 0, self._calm_cadence)

    def supervise(self, *, everything: bool = False) -> None:
        """Start again what has lain long enough, or has left by itself; let moods pass."""
        now = time.monotonic()
        for part, (at, _) in list(self._cures.items()):
            if everything or at <= now:
                self._cure(*part)
        self._look_for_leavers()

    def _cure_in(self, for_s: float, blow: Blow, number: int, cure: Callable[[], None]) -> None:
        self._cures[blow, number] = (time.monotonic() + for_s, cure)

    def _cure(self, blow: Blow, number: int) -> None:
        _, cure = self._cures.pop((blow, number))
        cure()

    def _revive(self, blow: Blow, number: int) -> None:
        if blow is Blow.KILL_POSTGRES:
            wait_until(self.postgres.restart_if_dead, bool, 30)  # it may be dying still
            return
        self._process(blow, number).wait()
        self._start(blow, number)

    def _start(self, blow: Blow, number: int) -> None:
        row, place = self._place(blow, number)
        if blow is Blow.KILL_ENGINE:
            row[place] = self.stack.spawn_engine(number)
        elif blow is Blow.KILL_CADENCE:
            row[place] = self.stack.spawn_cadence(number)
        else:
            row[place] = self.stack.spawn("push-blaster", "serve")

    def _process(self, blow: Blow, number: int) -> subprocess.Popen[bytes]:
        row, place = self._place(blow, number)
        return row[place]

    def _place(self, blow: Blow, number: int) -> tuple[list[subprocess.Popen[bytes]], int]:
        if blow is Blow.KILL_ENGINE:
            return self.stack.engines, number
        return self.stack.services, number if blow is Blow.KILL_CADENCE else -1

    def _calm_provider(self) -> None:
        self.fcm.weather = None

    def _calm_cadence(self) -> None:
        self.cadence.mood = Mood.WELL

    def _look_for_leavers(self) -> None:
        for blow, number in self.parts():
            code = self._process(blow, number).poll()
            if code is not None and (blow, number) not in self._cures:
                self.left_by_themselves.append(f"{blow} {number}: exit {code}")
                self._start(blow, number)


@contextmanager
def running_world(
    folder: Path,
    changed: Mapping[str, str] | None = None,
    replicas: int = 1,
    *,
    with_clocks: bool = False,
) -> Iterator[World]:
    """Start all of it in `folder`; stop all of it at the end."""
    private, public = make_key()
    first = utc_now().replace(microsecond=0) + FIRST_CHANGE
    changes = plan_changes(first, CHANGES_EVERY, 200)
    write_zone(folder / "zones", changes)
    host = make_clock(folder, "clock-host") if with_clocks else None
    with (
        run_postgres(folder / "postgres", POSTGRES, host.environment if host else {}) as postgres,
        run_fcm_server(folder) as fcm,
        run_token_server(public) as google,
        run_proxy() as cadence,
    ):
        settings = {
            **SETTINGS,
            "PYTHONTZPATH": str(folder / "zones"),
            "CADENCE_SERVICE_URL": cadence.url,
            **fcm_settings(fcm, google.url, private),
            **(changed or {}),
        }
        # One engine begins five minutes fast, the other one five minutes slow.
        offsets = (OFF, -OFF) if with_clocks else ()
        clocks = [make_clock(folder, f"clock-{n}", off) for n, off in enumerate(offsets)]
        with running_stack(
            postgres,
            folder / "data",
            settings,
            ENGINES,
            replicas,
            clocks=clocks,
            engine_program=HELD_ENGINE,
        ) as stack:
            cadence.target = stack.cadence_url
            (stack.folder / "scripts" / "users.py").write_text(SCRIPT)
            stack.ask("POST", "/api/devices", {"userId": user(TESTER), "token": f"ok-{TESTER}"})
            world = World(stack, postgres, fcm, cadence, changes, replicas, host)
            world._own.update(enumerate(offsets))
            fcm.on_accept = lambda message: world.accepted.append(_read(message, world.now()))
            yield world


def catches(pid: int, number: signal.Signals) -> bool:
    """Return whether the process has a handler of its own for the signal."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def _read(message: dict[str, Any], at: datetime) -> Accepted:
    tag = message["android"]["notification"]["tag"]
    assert tag == message["apns"]["headers"]["apns-collapse-id"]
    assert tag == message["webpush"]["notification"]["tag"]
    return Accepted(at, int(message["token"].rpartition("-")[2]), tag, message["data"]["receipt"])


def persist(act: Callable[[], requests.Response], limit_s: float = 60) -> requests.Response | None:
    """Ask again and again until somebody answers for good; None after `limit_s`."""
    give_up_at = time.monotonic() + limit_s
    while time.monotonic() < give_up_at:
        try:
            response = act()
        except requests.RequestException:
            response = None
        if response is not None and response.status_code < 500:
            return response
        time.sleep(0.3)
    return None


def read_rows(url: str, sql: str) -> list[tuple[Any, ...]] | None:
    """Return what the database says, or None while it is away."""
    try:
        connection = psycopg2.connect(url)
    except psycopg2.OperationalError:
        return None
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())
    except psycopg2.OperationalError:
        return None
    finally:
        connection.close()


def number_of(user_id: str | UUID) -> int:
    """Return which user this is; the torture counts them."""
    return UUID(str(user_id)).int
