"""Run the whole system on one machine: databases, both services, the engine."""

import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import requests

from local_stack.embedded_postgres import EmbeddedPostgres, run_postgres
from local_stack.example import PHONES, install_example, run_example
from local_stack.postgres_keeper import PostgresKeeper
from local_stack.preconditions import check_preconditions
from local_stack.processes import die_with_parent, stop_processes
from local_stack.settings import StackSettings

#: How long the services may take until they answer.
START_LIMIT_S: Final = 60.0
STOP_LIMIT_S: Final = 8.0
#: If a process dies this often before the stack is healthy, another start does not help.
MAX_DEATHS: Final = 3
#: The transports by which the example's devices, of the kind `file`, get their messages.
_TO_FILE: Final = ("file", "by-kind")
#: How long after its death a process is started again.
RESTART_PAUSE_S: Final = 1.0


class LocalStackError(Exception):
    """The stack cannot be started; the message says why and what to do."""


@dataclass(slots=True)
class _Child:
    """A process of the stack: its name, its command, and its present run."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    down_since: float | None = None
    deaths: int = 0


@dataclass(frozen=True, slots=True)
class _Databases:
    """The URLs of both databases, and the embedded server that has them, if one does."""

    push_url: str
    cadence_url: str
    server: EmbeddedPostgres | None = None


@dataclass(slots=True)
class _Stack:
    environment: Mapping[str, str]
    log_folder: Path
    children: list[_Child] = field(default_factory=list)

    def start(self, child: _Child) -> None:
        log = (self.log_folder / f"{child.name}.log").open("ab")
        with log:
            child.process = subprocess.Popen(
                child.command,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(),
            )
        child.down_since = None

    def restart_dead(self) -> None:
        """Start each process that has died again, after a pause."""
        for child in self.children:
            if child.process is None or child.process.poll() is None:
                continue
            if child.down_since is None:
                child.down_since = time.monotonic()
                child.deaths += 1
                print(f"{child.name} ended ({child.process.returncode}); it is started again.")
            elif time.monotonic() - child.down_since > RESTART_PAUSE_S:
                self.start(child)

    def stop(self) -> None:
        stop_processes([c.process for c in reversed(self.children) if c.process], STOP_LIMIT_S)


def run_stack(settings: StackSettings) -> None:
    """Run until Ctrl-C or SIGTERM; then stop everything, PostgreSQL last."""
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    check_preconditions(settings)
    with _databases(settings) as databases:
        stack = _Stack(_environment(settings, databases), _log_folder(settings))
        try:
            _start(stack, settings, stopping, databases.server)
            _watch(stack, databases.server, stopping)
        finally:
            print("Stopping …", flush=True)
            stack.stop()


def _start(
    stack: _Stack,
    settings: StackSettings,
    stopping: threading.Event,
    postgres: EmbeddedPostgres | None,
) -> None:
    is_first_start = install_example(settings.data_folder)
    for command in ("cadence-service", "push-blaster"):
        _migrate(stack, command)
    stack.children = [
        _Child("cadence", _command("cadence-service", "serve")),
        _Child("push-web", _command("push-blaster", "serve")),
        _Child("push-engine", _command("push-blaster", "engine")),
    ]
    for child in stack.children:
        stack.start(child)
    _wait_until_healthy(stack, settings, stopping)
    _print_banner(settings, postgres)
    if stack.environment.get("PUSH_TRANSPORT", "file") in _TO_FILE:
        stack.children.append(_Child("phones", _report_as_phones(settings)))
        stack.start(stack.children[-1])
    if is_first_start and not stopping.is_set():
        threading.Thread(target=run_example, args=(settings,), daemon=True).start()


def _watch(stack: _Stack, postgres: EmbeddedPostgres | None, stopping: threading.Event) -> None:
    keeper = PostgresKeeper(postgres) if postgres else None
    while not stopping.wait(0.5):
        if keeper:
            keeper.look()
        stack.restart_dead()


@contextmanager
def _databases(
    settings: StackSettings,
) -> Iterator[_Databases]:
    """Lend both databases: the ones that the settings name, or two of an embedded server."""
    push, cadence = settings.push_database_url, settings.cadence_database_url
    if push and cadence:
        yield _Databases(push, cadence)
        return
    if push or cadence:
        raise LocalStackError(
            "Set both PUSH_BLASTER_DATABASE_URL and PUSH_CADENCE_DATABASE_URL, or neither."
        )
    with run_postgres(settings.data_folder / "postgres") as server:
        yield _Databases(
            server.create_database("push_blaster"), server.create_database("cadence"), server
        )


def _environment(settings: StackSettings, databases: _Databases) -> dict[str, str]:
    token = _admin_token(settings.token_file)
    return {
        "LOG_FORMAT": "console",
        # This stack is for trying things out, so its windows may be as short as anybody likes.
        "PUSH_MIN_CANCELLATION_WINDOW_SECONDS": "0",
        **settings.environment,
        "PUSH_BLASTER_DATABASE_URL": databases.push_url,
        "PUSH_CADENCE_DATABASE_URL": databases.cadence_url,
        "PUSH_DATA_DIR": str(settings.data_folder),
        "PUSH_ADMIN_TOKEN": token,
        "PUSH_HOST": settings.host,
        "PUSH_PORT": str(settings.push_port),
        "CADENCE_API_TOKEN": token,
        "CADENCE_HOST": settings.host,
        "CADENCE_PORT": str(settings.cadence_port),
        "CADENCE_SERVICE_URL": settings.cadence_url,
        "PYTHONUNBUFFERED": "1",
    }


def _admin_token(path: Path) -> str:
    """Return the token in the file; a first start makes one that only its owner may read."""
    if not path.exists():
        path.touch(0o600)
        path.write_text(secrets.token_urlsafe(32) + "\n")
    return path.read_text().strip()


def _log_folder(settings: StackSettings) -> Path:
    folder = settings.data_folder / "logs"
    folder.mkdir(exist_ok=True)
    return folder


def _command(name: str, *arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name(name)), *arguments]


def _report_as_phones(settings: StackSettings) -> list[str]:
    """Return the command that reports what simulated phones do with the messages of the file."""
    return [
        *(sys.executable, str(PHONES), f"--url={settings.push_url}"),
        f"--messages={settings.data_folder / 'sent' / 'messages.jsonl'}",
        f"--token-file={settings.token_file}",
    ]


def _migrate(stack: _Stack, name: str) -> None:
    done = subprocess.run(
        _command(name, "migrate"),
        env=dict(stack.environment),
        capture_output=True,
        text=True,
        timeout=START_LIMIT_S,
        check=False,
    )
    if done.returncode:
        raise LocalStackError(f"{name} migrate failed:\n{done.stderr[-3000:]}")


def _wait_until_healthy(stack: _Stack, settings: StackSettings, stopping: threading.Event) -> None:
    give_up_at = time.monotonic() + START_LIMIT_S
    while not stopping.is_set():
        if _is_healthy(settings):
            return
        stack.restart_dead()
        dying = [child.name for child in stack.children if child.deaths >= MAX_DEATHS]
        if dying or time.monotonic() > give_up_at:
            who = f"{dying[0]} ends again and again" if dying else "The services do not answer"
            raise LocalStackError(f"{who}; the logs are in {stack.log_folder}")
        time.sleep(0.1)


def _is_healthy(settings: StackSettings) -> bool:
    try:
        urls = (f"{settings.push_url}/health", f"{settings.cadence_url}/health")
        return all(requests.get(url, timeout=5).ok for url in urls)
    except requests.RequestException:
        return False


def _print_banner(settings: StackSettings, postgres: EmbeddedPostgres | None) -> None:
    databases = postgres.folder if postgres else "as PUSH_*_DATABASE_URL say"
    print(
        f"""
  Open {settings.push_url} and sign in with the admin token in {settings.token_file}

  cadence service   {settings.cadence_url}
  API descriptions  {settings.push_url}/api/openapi.json
                    {settings.cadence_url}/openapi.json
  data and logs     {settings.data_folder}
  PostgreSQL        {databases}

Ctrl-C stops everything.
""",
        flush=True,
    )
