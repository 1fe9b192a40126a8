"""The real processes behind PgBouncer in transaction mode: no connection is anybody's own."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg2
import pytest

from chassis.migrations import migrate
from chassis.postgres import Database
from chassis.rows import fetch_value
from local_stack.embedded_postgres import EmbeddedPostgres
from local_stack.processes import die_with_parent, stop_processes
from local_stack.server_account import find_owner
from push_blaster.cli import MIGRATIONS
from tests.journeys.stack import (
    a_journey_automation,
    free_port,
    running_stack,
    wait_until,
)
from tests.programs import find_program

#: As docs/scaling.md tells; a handful of connections for all that the processes ask for.
INI = """
[databases]
* = host={host} port={port} user=push password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 6
max_client_conn = 500
ignore_startup_parameters = options
"""
EXECUTIONS = 4


@pytest.fixture
def through(postgres: EmbeddedPostgres, place: Path) -> Iterator[Callable[[str], str]]:
    """PgBouncer before the tests' PostgreSQL: what makes the URL of a database lead through it."""
    program = find_program("pgbouncer", "REQUIRE_PGBOUNCER")
    server, own_port = urlsplit(postgres.url("postgres")), free_port()
    asked = parse_qs(server.query)
    place.mkdir(mode=0o711)
    ini = place / "pgbouncer.ini"
    ini.write_text(
        INI.format(
            host=asked["host"][0],
            port=asked["port"][0],
            password=server.password,
            own_port=own_port,
        )
    )
    owner = find_owner()
    is_root = os.geteuid() == 0  # as which PgBouncer refuses to run
    process = subprocess.Popen(
        [program, "--quiet", ini],
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_parent(signal.SIGTERM),
        user=owner.uid if is_root else None,
        group=owner.gid if is_root else None,
    )
    try:
        wait_until(lambda: _answers(own_port), bool, 20)
        yield lambda url: f"postgresql://push:-@127.0.0.1:{own_port}{urlsplit(url).path}"
    finally:
        stop_processes([process], 5)


def test_two_engines_send_through_a_few_shared_connections(
    postgres: EmbeddedPostgres, place: Path, through: Callable[[str], str]
) -> None:
    with running_stack(postgres, place / "data", engines=2, through=through) as stack:
        for number in range(EXECUTIONS):
            parameters = {"first": 1 + number * 1_000, "users": 300}
            document = a_journey_automation(f"pooled-{number}", parameters=parameters)
            stack.ask("POST", "/api/automation/recipes", document)
        started = [
            stack.ask("POST", "/api/executions", {"automationId": f"pooled-{number}"})["id"]
            for number in range(EXECUTIONS)
        ]

        ended = [stack.wait_for(id_, ["completed", "failed"]) for id_ in started]

        assert [e["pushes"][0]["funnel"]["sent"] for e in ended] == [300] * EXECUTIONS
        assert stack.history("SELECT count(*) FROM user_notifications") == [(1_200,)]
        logs = [(place / "data" / name).read_text() for name in _LOGS]
        assert [word for word in _COMPLAINTS if any(word in text for text in logs)] == []


def test_migrations_go_through_it_and_leave_nothing_in_its_sessions(
    postgres: EmbeddedPostgres, through: Callable[[str], str]
) -> None:
    direct = postgres.create_database("migrated_through")
    pooled = Database(through(direct), max_connections=4)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(migrate, pooled, MIGRATIONS) for _ in range(2)]:
            done.result(60)
    lent = [pooled.connect() for _ in range(4)]

    limits = [fetch_value(connection, "SHOW lock_timeout") for connection in lent]
    assert [fetch_value(one, "SELECT count(*) FROM restores") for one in lent] == [0] * 4
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    assert (limits, fetch_value(lent[0], held)) == (["0"] * 4, 0)
    for connection in lent:
        connection.close()
    pooled.close()


_LOGS = ("push-blaster-engine.log", "push-blaster-serve.log", "cadence-service-serve.log")
#: What a connection says whose state was somebody else's.
_COMPLAINTS = ("prepared statement", "worker_lost_its_database", "failed_open", "duty_failed")


def _answers(port: int) -> bool:
    try:
        psycopg2.connect(f"postgresql://push:-@127.0.0.1:{port}/postgres").close()
    except psycopg2.OperationalError:
        return False
    return True
