"""The real processes on free ports: cadence, web with three workers, any number of engines."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2
import psycopg2.extras
import requests

from chassis.clock import utc_now
from local_stack.embedded_postgres import EmbeddedPostgres
from local_stack.processes import die_with_parent, stop_processes
from tests.databases import make_cadence_database, make_push_database
from tests.fakes.set_clock import SetClock
from tests.journeys.nginx import running_nginx
from tests.scripts import SCRIPT

TOKEN = "journey-admin-token"
VIEWER = "journey-viewer-token"
OPERATOR = "journey-operator-token"


_ANY = random.SystemRandom()


def free_port() -> int:
    """Return a port that is free, and that the system gives to no connection meanwhile."""
    while True:
        port = _ANY.randrange(10_000, 32_768)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def user(number: int) -> str:
    return str(UUID(int=number))


@dataclass
class Stack:
    folder: Path
    push_url: str
    cadence_url: str
    cadence_ports: list[int]
    database_url: str
    cadence_database_url: str
    environment: dict[str, str]
    engines: list[subprocess.Popen[bytes]] = field(default_factory=list)
    services: list[subprocess.Popen[bytes]] = field(default_factory=list)
    engine_ports: dict[int, int] = field(default_factory=dict)
    #: The wall clocks of the engines, for those that have one of their own.
    clocks: Sequence[SetClock] = ()
    #: What runs instead of the command, if a test wants an engine that it can do more to.
    engine_program: Path | None = None

    def migrate(self) -> None:
        """Migrate both databases, as is done before a version starts for the first time."""
        running = [self.spawn(name, "migrate") for name in ("cadence-service", "push-blaster")]
        assert [process.wait(60) for process in running] == [0, 0]

    def start(self, engines: int) -> None:
        """Start every replica, the web and so many engines, and wait until all are well."""
        self.services = [self.spawn_cadence(number) for number in range(len(self.cadence_ports))]
        self.services.append(self.spawn("push-blaster", "serve"))
        for _ in range(engines):
            self.start_engine()
        wait_until(lambda: _is_well(self, engines), bool, 60)

    def start_engine(self) -> subprocess.Popen[bytes]:
        engine = self.spawn_engine(len(self.engine_ports))
        self.engines.append(engine)
        return engine

    def spawn_engine(self, number: int) -> subprocess.Popen[bytes]:
        """Start the engine of this number; it tells of itself on a port of its own."""
        port = self.engine_ports.setdefault(number, free_port())
        own = self.clocks[number].environment if number < len(self.clocks) else {}
        return self.spawn("push-blaster", "engine", PUSH_ENGINE_METRICS_PORT=str(port), **own)

    def _command(self, name: str, command: str) -> list[str]:
        if command == "engine" and self.engine_program:
            return [sys.executable, str(self.engine_program)]
        return [str(self.program(name)), command]

    @staticmethod
    def program(name: str) -> Path:
        """Return where one of our programs is."""
        return Path(sys.executable).with_name(name)

    def spawn_cadence(self, number: int) -> subprocess.Popen[bytes]:
        """Start the replica of this number of the cadence service."""
        port = str(self.cadence_ports[number])
        return self.spawn("cadence-service", "serve", CADENCE_PORT=port)

    def spawn(self, name: str, command: str, **settings: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}-{command}.log").open("ab") as log:
            return subprocess.Popen(
                self._command(name, command),
                env=self.environment | settings,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )

    def request(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> requests.Response:
        return requests.request(
            method,
            self.push_url + path,
            json=body,
            headers={"Authorization": f"Bearer {TOKEN}", **headers},
            timeout=30,
        )

    def ask(self, method: str, path: str, body: object = None, token: str = TOKEN) -> Any:
        response = self.request(method, path, body, Authorization=f"Bearer {token}")
        assert response.ok, (response.status_code, response.text)
        return response.json()

    def execution(self, execution_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/api/executions/{execution_id}")
        return found

    def executions(self, automation_id: str) -> list[dict[str, Any]]:
        path = f"/api/executions?automationId={automation_id}&limit=200"
        found: list[dict[str, Any]] = self.ask("GET", path)["executions"]
        return found

    def wait_for(
        self, execution_id: str, phases: Sequence[str], limit_s: float = 60, every_s: float = 0.1
    ) -> dict[str, Any]:
        """Return the execution once it stands in one of `phases`."""
        automation_id = execution_id.partition("@")[0]

        def look() -> dict[str, Any]:
            found = [e["id"] for e in self.executions(automation_id)]
            return self.execution(execution_id) if execution_id in found else {"phase": "absent"}

        seen: dict[str, Any] = wait_until(
            look, lambda seen: seen["phase"] in phases, limit_s, every_s
        )
        return seen

    def log(self, execution_id: str) -> list[str]:
        entries = self.ask("GET", f"/api/executions/{execution_id}/log")["entries"]
        return [entry["message"] for entry in entries]

    def messages(self) -> list[dict[str, Any]]:
        path = self.folder / "sent" / "messages.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines()]

    def history(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return _select(self.cadence_database_url, sql, values)

    def ledger(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return _select(self.database_url, sql, values)

    def stop(self, limit_s: float = 10) -> None:
        """Stop every process, and kill what still runs after `limit_s`; `start` starts anew."""
        stop_processes([*self.engines, *self.services], limit_s)
        self.engines.clear()
        self.services.clear()


def wait_until(
    look: Callable[[], Any], is_there: Callable[[Any], bool], limit_s: float, every_s: float = 0.1
) -> Any:
    """Look again and again until `is_there`; fail after `limit_s`, showing what was seen last."""
    give_up_at = time.monotonic() + limit_s
    seen = look()
    while not is_there(seen):
        assert time.monotonic() < give_up_at, f"not within {limit_s} s; last seen: {seen}"
        time.sleep(every_s)
        seen = look()
    return seen


@contextmanager
def running_stack(  # noqa: PLR0917 - journeys name all but the first two
    postgres: EmbeddedPostgres,
    folder: Path,
    settings: Mapping[str, str] | None = None,
    engines: int = 1,
    replicas: int = 1,
    through: Callable[[str], str] = str,
    clocks: Sequence[SetClock] = (),
    *,
    engine_program: Path | None = None,
    migrates: bool = False,
) -> Iterator[Stack]:
    """Start everything over fresh databases; stop all of it at the end.

    Where there are several replicas of the cadence service, nginx stands before them. Databases are
    copies of migrated ones, unless the stack `migrates` empty ones by its own commands. Then
    services get what `through` makes of a database's URL.
    """
    name = f"j{os.getpid()}_{time.monotonic_ns()}"
    push_port = free_port()
    cadence_ports = [free_port() for _ in range(replicas)]
    cadence_port = cadence_ports[0] if replicas == 1 else free_port()
    urls = _make_databases(postgres, name, are_empty=migrates)
    stack = Stack(
        folder=folder,
        push_url=f"http://127.0.0.1:{push_port}",
        cadence_url=f"http://127.0.0.1:{cadence_port}",
        cadence_ports=cadence_ports,
        database_url=urls[0],
        cadence_database_url=urls[1],
        clocks=clocks,
        engine_program=engine_program,
        environment={
            "PATH": os.environ["PATH"],
            "TMPDIR": str(folder),  # whoever is killed leaves nothing elsewhere
            "PUSH_BLASTER_DATABASE_URL": urls[0],
            "PUSH_CADENCE_DATABASE_URL": urls[1],
            "PUSH_DATA_DIR": str(folder),
            "PUSH_PORT": str(push_port),
            "CADENCE_SERVICE_URL": f"http://127.0.0.1:{cadence_port}",
            "CADENCE_API_TOKEN": "journey-cadence-token",
            "CADENCE_WORKERS": "1",
            "PUSH_ADMIN_TOKEN": TOKEN,
            "PUSH_VIEWER_TOKEN": VIEWER,
            "PUSH_OPERATOR_TOKEN": OPERATOR,
            "PUSH_WEB_WORKERS": "3",
            "PUSH_MIN_CANCELLATION_WINDOW_SECONDS": "0",
            "PUSH_ENGINE_DEAD_AFTER_SECONDS": "3",
            "PUSH_RAMP_SECONDS": "0",  # at full rate from the first message on
            **(settings or {}),
        },
    )
    (folder / "scripts").mkdir(parents=True)
    (folder / "scripts" / "users.py").write_text(SCRIPT)
    has_front = replicas > 1
    with running_nginx(folder, cadence_ports, cadence_port) if has_front else nullcontext():
        try:
            if migrates:
                stack.migrate()
            for name in ("PUSH_BLASTER_DATABASE_URL", "PUSH_CADENCE_DATABASE_URL"):
                stack.environment[name] = through(stack.environment[name])
            stack.start(engines)
            yield stack
        finally:
            stack.stop()


def _make_databases(postgres: EmbeddedPostgres, name: str, *, are_empty: bool) -> tuple[str, str]:
    """Return the URLs of new databases, of push_blaster and of the cadence service."""
    push, cadence = f"push_{name}", f"cadence_{name}"
    if are_empty:
        return postgres.create_database(push), postgres.create_database(cadence)
    return make_push_database(postgres, push), make_cadence_database(postgres, cadence)


def a_journey_automation(automation_id: str, **changes: Any) -> dict[str, Any]:
    """Return an automation over the journey's script, with a window of a second."""
    parameters = {"first": 1, "users": 50, **changes.pop("parameters", {})}
    settings = {
        "testUserIds": [],
        "dryRunFirst": False,
        "cancellationWindowMinutes": 1 / 60,
        "safeguards": {"requireTestFirst": False},
        **changes.pop("settings", {}),
    }
    pushes = changes.pop("pushes", [{}])
    return {
        "id": automation_id,
        "name": f"Journey {automation_id}",
        "type": "script_based",
        "status": "draft",
        "isActive": False,
        "schedule": {"timezone": "UTC", "frequency": "daily", "executionTime": "12:30"},
        "pushSequence": [
            {"title": "Hi [[var:first_name]]", "body": "News", "layerId": 3, **push}
            for push in pushes
        ],
        "audienceCriteria": {"customScript": {"scriptId": "users", "parameters": parameters}},
        "settings": settings,
        **changes,
    }


def due_in(seconds: float) -> tuple[dict[str, Any], datetime]:
    """Return a schedule whose only slot is `seconds` from now, rounded up; and T."""
    at = utc_now().replace(microsecond=0) + timedelta(seconds=seconds + 1)
    return {
        "timezone": "UTC",
        "frequency": "once",
        "startDate": at.date().isoformat(),
        "executionTime": at.strftime("%H:%M:%S"),
        "leadTimeMinutes": 30,
    }, at


def _is_well(stack: Stack, engines: int) -> bool:
    try:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        health = requests.get(f"{stack.push_url}/health", headers=headers, timeout=5).json()
        return len(health["automationEngine"]["engines"]) == engines and health["status"] in {
            "healthy",
            "degraded",
        }
    except (requests.RequestException, KeyError):
        return False


def _select(url: str, sql: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
    psycopg2.extras.register_uuid()  # type: ignore[no-untyped-call]  # missing in its stubs
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())
    finally:
        connection.close()
