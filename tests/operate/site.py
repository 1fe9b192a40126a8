"""Two engines, two webs and two cadence replicas behind nginx, over PostgreSQL by TCP."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from tempfile import mkstemp
from typing import Any, Final

import requests

from local_stack.embedded_postgres import EmbeddedPostgres, find_binaries
from local_stack.processes import stop_processes
from tests.databases import by_tcp
from tests.journeys.nginx import running_nginx
from tests.journeys.stack import Stack, free_port, running_stack, wait_until

EACH: Final = 2
#: How long a process may take to start, to end, or to be missed by health.
SOON_S: Final = 60.0
COMMAND_S: Final = 120.0
SETTINGS: Final = {
    "PUSH_WEB_WORKERS": "1",
    "PUSH_EXPECTED_ENGINES": str(EACH),
    "PUSH_TRUSTED_PROXIES": "1",
    "PUSH_RATE_PER_MINUTE": "1200",
    "PUSH_BATCH_SIZE": "25",
}


class Kind(StrEnum):
    """A kind of process, as the documents call it."""

    ENGINE = "engine"
    WEB = "web"
    CADENCE = "cadence"


#: How each kind is started, and the setting of the port on which it answers.
COMMANDS: Final = {
    Kind.ENGINE: ("push-blaster", "engine", "PUSH_ENGINE_METRICS_PORT"),
    Kind.WEB: ("push-blaster", "serve", "PUSH_PORT"),
    Kind.CADENCE: ("cadence-service", "serve", "CADENCE_PORT"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said, and the code with which it ended."""

    code: int
    said: str

    @property
    def last(self) -> str:
        return self.said.strip().splitlines()[-1] if self.said.strip() else "nothing"


@dataclass(frozen=True, slots=True)
class Command:
    """A command of ours that runs; its words go to a file."""

    process: subprocess.Popen[bytes]
    log: Path

    def end(self) -> Answer:
        """Wait for its end, and return its answer."""
        try:
            code = self.process.wait(COMMAND_S)
        finally:
            self.process.kill()
        return Answer(code, self.log.read_text())


@dataclass
class Site:
    """Everything that runs; a process is told by its kind and its number."""

    stack: Stack
    postgres: EmbeddedPostgres
    web_ports: list[int]
    running: dict[tuple[Kind, int], subprocess.Popen[bytes]] = field(default_factory=dict)
    #: Settings of one kind of processes only.
    own: dict[Kind, dict[str, str]] = field(default_factory=dict)

    @property
    def parts(self) -> list[tuple[Kind, int]]:
        """Return every process in the order in which an upgrade replaces it."""
        kinds = (Kind.CADENCE, Kind.WEB, Kind.ENGINE)
        return [(kind, number) for kind in kinds for number in range(EACH)]

    def port(self, kind: Kind, number: int) -> int:
        if kind is Kind.ENGINE:
            return self.stack.engine_ports[number]
        return (self.web_ports if kind is Kind.WEB else self.stack.cadence_ports)[number]

    def start(self, kind: Kind, number: int) -> None:
        """Start a process and wait until it answers."""
        name, command, port = COMMANDS[kind]
        settings = {port: str(self.port(kind, number)), **self.own.get(kind, {})}
        self.running[kind, number] = self.stack.spawn(name, command, **settings)
        wait_until(lambda: self.is_well(kind, number), bool, SOON_S)

    def is_well(self, kind: Kind, number: int) -> bool:
        try:
            url = f"http://127.0.0.1:{self.port(kind, number)}/health/live"
            return requests.get(url, timeout=5).ok
        except requests.RequestException:
            return False

    def restart(self, kind: Kind, number: int) -> None:
        """Replace a process as an upgrade does: it ends in order, then another one starts."""
        process = self.running[kind, number]
        process.terminate()
        code = process.wait(SOON_S)
        assert code == 0, f"{kind} {number} ended with {code} when it was asked to end"
        self.start(kind, number)

    def restart_all(self, *kinds: Kind) -> None:
        """Replace one process after the other; the others go on working."""
        for kind, number in self.parts:
            if kind in kinds:
                self.restart(kind, number)

    def kill(self, kind: Kind, number: int) -> None:
        process = self.running[kind, number]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(SOON_S)

    def ask(self, path: str, token: str | None = None) -> requests.Response:
        """Read something through nginx, by the token of the settings or another one."""
        bearer = token or self.stack.environment["PUSH_ADMIN_TOKEN"]
        return self.stack.request("GET", path, Authorization=f"Bearer {bearer}")

    def health(self) -> dict[str, Any]:
        """Return the health as an operator sees it."""
        found: dict[str, Any] = self.ask("/api/health").json()
        return found

    def wait_for_engines(self, count: int) -> dict[str, Any]:
        """Return the health once it names so many engines."""
        found: dict[str, Any] = wait_until(
            self.health,
            lambda health: len(health["automationEngine"]["engines"]) == count,
            SOON_S,
            0.3,
        )
        return found

    def run(self, *command: str, **settings: str) -> Answer:
        """Run a command of ours with the settings of the site, changed by `settings`."""
        return self.begin(*command, **settings).end()

    def begin(self, *command: str, **settings: str) -> Command:
        """Start a command of ours."""
        path = f"{find_binaries()}:{self.stack.environment['PATH']}"
        file, name = mkstemp(prefix=command[0], dir=self.stack.folder.parent)
        process = subprocess.Popen(
            [str(self.stack.program(command[0])), *command[1:]],
            env={**self.stack.environment, "PATH": path, **settings},
            stdout=file,
            stderr=file,
        )
        os.close(file)
        return Command(process, Path(name))


@contextmanager
def running_site(
    postgres: EmbeddedPostgres, folder: Path, settings: Mapping[str, str]
) -> Iterator[Site]:
    """Install and start all of it in `folder`; end it with the block."""
    front = folder / "front"
    front.mkdir()
    with running_stack(
        postgres,
        folder / "data",
        {**SETTINGS, **settings},
        engines=EACH,
        replicas=EACH,
        through=by_tcp,
    ) as stack:
        ports = [int(stack.environment["PUSH_PORT"]), free_port()]
        site = Site(stack, postgres, ports)
        site.running |= {(Kind.CADENCE, n): stack.services[n] for n in range(EACH)}
        site.running |= {(Kind.ENGINE, n): stack.engines[n] for n in range(EACH)}
        site.running[Kind.WEB, 0] = stack.services[-1]
        address = free_port()
        try:
            with running_nginx(front, ports, address, "push.conf"):
                site.start(Kind.WEB, 1)
                stack.push_url = f"http://127.0.0.1:{address}"
                yield site
        finally:
            stop_processes(list(site.running.values()), 10)
