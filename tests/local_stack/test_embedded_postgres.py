"""The embedded server: wherever the data lies, however its last run ended."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import psycopg2
import pytest

from local_stack import server_account
from local_stack.embedded_postgres import (
    EmbeddedPostgres,
    EmbeddedPostgresError,
    run_postgres,
)
from local_stack.postgres_keeper import PostgresKeeper
from local_stack.server_account import copy_reachable, find_reachable
from tests.databases import FAST

#: Runs a server in a process of its own, says its pid, and sleeps.
RUNNER = """
import sys, time
from pathlib import Path
from local_stack.embedded_postgres import run_postgres
with run_postgres(Path(sys.argv[1]), {"fsync": "off"}) as server:
    print(server.pid, flush=True)
    time.sleep(600)
"""


NOBODY = 65_534

#: Gives up root's rights, if it has them, and runs a server.
AS_USER = f"""
import os, sys
from pathlib import Path
import psycopg2
from local_stack import embedded_postgres
programs = embedded_postgres.find_binaries()
embedded_postgres.find_binaries = lambda: programs  # root has made sure that it can be reached
if not os.geteuid():
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
with embedded_postgres.run_postgres(Path(sys.argv[1]), {{"fsync": "off"}}) as server:
    psycopg2.connect(server.url("postgres")).close()
    print("answered")
"""


def remember(server: EmbeddedPostgres, number: int) -> None:
    connection = psycopg2.connect(server.create_database("notes"))
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS notes (n int)")
        cursor.execute("INSERT INTO notes VALUES (%s)", (number,))
    connection.close()


def recall(server: EmbeddedPostgres) -> list[int]:
    connection = psycopg2.connect(server.url("notes"))
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT n FROM notes ORDER BY n")
        found = [row[0] for row in cursor]
    connection.close()
    return found


@pytest.mark.parametrize(
    "name",
    ["plain", "with blanks and 'quotes'", "long-" + "x" * 150, "ünï-ćødé"],
)
def test_data_lasts_wherever_it_lies(place: Path, name: str) -> None:
    folder = place / name
    with run_postgres(folder, FAST) as server:
        remember(server, 1)

    with run_postgres(folder, FAST) as server:
        remember(server, 2)
        assert recall(server) == [1, 2]


def test_two_run_side_by_side(place: Path) -> None:
    with run_postgres(place / "a", FAST) as one, run_postgres(place / "b", FAST) as other:
        remember(one, 1)
        remember(other, 2)

        assert (recall(one), recall(other)) == ([1], [2])


def test_a_second_one_over_the_same_folder_is_refused(place: Path) -> None:
    with (
        run_postgres(place / "a", FAST) as first,
        pytest.raises(EmbeddedPostgresError, match="Another process already runs"),
        run_postgres(place / "a", FAST),
    ):
        pass

    assert first.pid is None, "and the first one was stopped in order"


def test_nobody_else_can_reach_it(place: Path) -> None:
    with run_postgres(place / "a", FAST) as server:
        url = server.url("postgres")
        password = (server.folder / "password").read_text()

        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(url.replace(password, "wrong"))
        assert psutil.Process(server.pid).net_connections(kind="inet") == []
        assert (server.folder / "password").stat().st_mode & 0o077 == 0
        assert (server.folder / "cluster").stat().st_mode & 0o077 == 0


def test_root_keeps_data_and_programs_where_its_server_can_reach_them(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid():
        assert find_reachable(place) == copy_reachable(place, ["bin"]) == place
        return
    closed = place / "closed"
    closed.mkdir(parents=True)
    closed.chmod(0o700)
    (closed / "bin").mkdir()
    (closed / "bin" / "tool").write_text("1")
    monkeypatch.setattr(server_account, "ROOTS_PLACE", place / "instead")

    data, programs = find_reachable(closed / "data"), copy_reachable(closed, ["bin", "lib"])

    assert data.parent == programs.parent == place / "instead"
    assert (programs / "bin" / "tool").read_text() == "1"
    assert copy_reachable(closed, ["bin", "lib"]) == programs
    assert closed.stat().st_mode & 0o777 == 0o700, "nobody's permissions were changed"


def test_a_killed_runner_leaves_no_server_and_no_harm(place: Path) -> None:
    folder = place / "a"
    with run_postgres(folder, FAST) as server:
        remember(server, 1)
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert runner.stdout
    server_pid = int(runner.stdout.readline())

    runner.kill()
    runner.wait()
    runner.stdout.close()

    _wait_until_gone(server_pid)
    with run_postgres(folder, FAST) as server:
        assert recall(server) == [1]


def test_a_killed_server_is_started_again_with_its_data(place: Path) -> None:
    with run_postgres(place / "a", {"fsync": "off"}) as server:
        remember(server, 1)
        assert not server.restart_if_dead()
        assert server.pid
        os.kill(server.pid, signal.SIGKILL)
        psutil.Process(server.pid).wait(10)

        assert server.restart_if_dead()

        assert recall(server) == [1]


def test_a_killed_server_that_cannot_start_is_tried_again_with_pauses(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where its disk is full, until somebody makes room."""
    now = [0.0]
    with run_postgres(place / "a", {"fsync": "off"}) as server:
        remember(server, 1)
        control = server.folder / "cluster" / "global" / "pg_control"
        aside = control.with_name("aside")
        keeper = PostgresKeeper(server, clock=lambda: now[0])
        assert server.pid
        os.kill(server.pid, signal.SIGKILL)
        psutil.Process(server.pid).wait(10)
        control.rename(aside)

        for now[0] in (0, 0.5, 2, 2.5):
            keeper.look()
        aside.rename(control)
        now[0] = 60
        keeper.look()

        assert recall(server) == [1]
    said = capsys.readouterr().out
    assert said.count("PostgreSQL does not start") == 2
    assert said.endswith("PostgreSQL had died; it runs again.\n")


def test_a_pid_file_that_names_a_stranger_is_not_believed(place: Path) -> None:
    folder = place / "a"
    with run_postgres(folder, FAST) as server:
        remember(server, 1)
        pid_file = server.folder / "cluster" / "postmaster.pid"
        text = pid_file.read_text().splitlines()
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        pid_file.write_text("\n".join([str(stranger.pid), *text[1:]]))

        with run_postgres(folder, FAST) as server:
            assert recall(server) == [1]
        assert stranger.poll() is None, "and the stranger was let alone"
    finally:
        stranger.kill()
        stranger.wait()


def test_a_first_start_that_was_cut_off_is_begun_anew(place: Path) -> None:
    draft = find_reachable((place / "a").resolve()) / "cluster.draft"
    draft.mkdir(parents=True)
    (draft / "half").write_text("written")

    with run_postgres(place / "a", FAST) as server:
        remember(server, 1)

        assert recall(server) == [1]


def test_data_of_another_version_is_left_alone(place: Path) -> None:
    with run_postgres(place / "a", FAST) as server:
        version = server.folder / "cluster" / "PG_VERSION"
    kept = version.read_text()
    version.write_text("11\n")

    with (
        pytest.raises(EmbeddedPostgresError, match="is PostgreSQL 11's, the installed server is"),
        run_postgres(place / "a", FAST),
    ):
        pass
    version.write_text(kept)


def test_a_server_that_cannot_start_says_why(place: Path) -> None:
    with (
        pytest.raises(EmbeddedPostgresError, match="max_connections"),
        run_postgres(place / "a", {"max_connections": "none"}),
    ):
        pass


def test_it_runs_for_a_user_as_it_does_for_root() -> None:
    with tempfile.TemporaryDirectory(prefix="push-user-") as folder:
        if not os.geteuid():
            os.chown(folder, NOBODY, NOBODY)
        done = subprocess.run(
            [sys.executable, "-c", AS_USER, f"{folder}/data"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    assert done.stdout == "answered\n"


def _wait_until_gone(pid: int) -> None:
    give_up_at = time.monotonic() + 20
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < give_up_at, "the server outlived its runner"
        time.sleep(0.1)
