"""Reports of phones by HTTP: how many a second, each durable before its answer, and beside a send.

The real processes run. wrk sends as many requests as are answered; what it sent is counted exactly
by an engine meanwhile. Beside a send, reports come at a steady rate.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from chassis.clock import utc_now
from chassis.postgres import Database
from local_stack.embedded_postgres import run_postgres
from push_blaster.adapters.engagement.receipt_keys import select_receipt_keys
from tests.bench.fake_fcm import run_fake_fcm
from tests.bench.load import Taken, run_wrk
from tests.bench.send import SERVER
from tests.bench.send_pipeline import Pipeline, count_cpu, running_pipeline, send_through
from tests.fakes.token_server import run_token_server
from tests.journeys.stack import Stack, running_stack, wait_until

#: How many different requests wrk repeats, and their events.
REQUESTS: Final = 4_000
#: What comes beside a send: 1,000 events a second, in requests of 20.
BESIDE: Final = (20, 50)
SETTINGS: Final = {"PUSH_WEB_WORKERS": "2", "PUSH_EVENTS_PER_MINUTE": "1000000000"}
#: wrk sends one body after the other; the path of the file stands in its place.
SCRIPT: Final = """
local bodies, at = {{}}, 0
for line in io.lines({bodies}) do bodies[#bodies + 1] = line end
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function()
  at = at % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[at])
end
"""
_PUSH: Final = """
    INSERT INTO result_pushes (execution_number, position, execution_id, automation_id,
                               automation_name, push_id, layer_id, mode, is_counted, variants,
                               texts_digest, zone, sent_at, week)
    VALUES (%(number)s, 1, 'bench', 'bench', 'Bench', 'push-1', 3, 'live', true, '{}', 'texts',
            'UTC', now(), date_trunc('week', now()))
"""


def measure_events(folder: Path, seconds: int, messages: int, rounds: int) -> None:
    """Print the rates alone, with 100 events a request and with one, and what a send costs."""
    with (
        run_postgres(folder / "alone", SERVER) as postgres,
        running_stack(postgres, folder / "stack", SETTINGS) as stack,
    ):
        print(f"\nEvents by HTTP, {seconds} s each; each request is on disk before its answer")
        for number, size in enumerate((100, 1), start=1):
            _measure_alone(folder, stack, number, size, seconds)
    with (
        run_token_server(None) as google,
        run_fake_fcm(folder / "nginx") as fcm,
        run_postgres(folder / "beside", SERVER) as postgres,
        running_pipeline(postgres, folder / "data", fcm, google.url) as stack,
    ):
        _measure_beside(stack, messages, rounds)


def _measure_alone(folder: Path, stack: Stack, number: int, size: int, seconds: int) -> None:
    bodies = folder / "bodies.jsonl"
    bodies.write_text("\n".join(_make_bodies(stack.database_url, number, size)))
    script = SCRIPT.format(bodies=json.dumps(str(bodies)))
    before = count_cpu(stack)
    taken: Taken = run_wrk(folder, script, f"{stack.push_url}/api/events", seconds)
    ended = time.monotonic()
    wait_until(lambda: _count(stack, "event_inbox"), lambda waiting: waiting == 0, 120)
    behind = time.monotonic() - ended
    after = count_cpu(stack)
    used = {
        kind: after.get(kind, 0.0) - before.get(kind, 0.0) for kind in ("web", "postgres", "engine")
    }
    told = ", ".join(f"{kind} {cpu / seconds:.2f}" for kind, cpu in used.items())
    print(
        f"  {size:3} a request: {taken.a_second:7,.0f} requests/s, {taken.a_second * size:8,.0f} "
        f"events/s, p50 {taken.median:.1f} ms, p99 {taken.slow:.1f} ms, {taken.errors} errors; "
        f"counted {behind:.1f} s after the end; cores: {told}"
    )
    _check_counts(stack, number, size * REQUESTS)


def _check_counts(stack: Stack, number: int, most: int) -> None:
    """Fail unless the counters are what the table of events has, each event once."""
    ((stored, opened),) = stack.ledger(
        "SELECT (SELECT count(*) FROM events WHERE execution_number = %s),"
        " (SELECT opened FROM result_counts WHERE execution_number = %s)",
        number,
        number,
    )
    if not stored == opened <= most:
        raise RuntimeError(f"{stored} events are stored, {opened} are counted, {most} were sent")


def _measure_beside(stack: Stack, messages: int, rounds: int) -> None:
    size, a_second = BESIDE
    bodies = list(_make_bodies(stack.database_url, 1_000_000, size))
    print(f"\nA send of {messages:,} messages, alone and beside {size * a_second:,} events/s")
    for _ in range(rounds):
        _print_send("alone", send_through(stack, messages), 0)
        with reporting(stack, bodies, a_second) as sent:
            beside = send_through(stack, messages)
        _print_send("beside events", beside, len(sent))


def _print_send(name: str, sent: Pipeline, reports: int) -> None:
    cpu = {kind: spent / sent.sent * 1e6 for kind, spent in sent.cpu_s.items()}
    kinds = ", ".join(f"{kind} {cpu.get(kind, 0):.0f}" for kind in ("engine", "postgres", "web"))
    print(
        f"  {name:<14} {sent.rate:7,.0f} messages/s; ms of CPU per 1,000 messages: {kinds}; "
        f"{reports} reports"
    )


@contextmanager
def reporting(stack: Stack, bodies: list[str], a_second: int) -> Iterator[list[int]]:
    """Report steadily meanwhile; the statuses of the answers are in what is yielded."""
    is_over, statuses = threading.Event(), list[int]()

    def report() -> None:
        address = urlsplit(stack.push_url)
        begun = time.monotonic()
        with closing(HTTPConnection(address.hostname or "", address.port, timeout=10)) as web:
            while not is_over.wait(max(0, begun + len(statuses) / a_second - time.monotonic())):
                body = bodies[len(statuses) % len(bodies)]
                web.request("POST", "/api/events", body, {"Content-Type": "application/json"})
                answer = web.getresponse()
                answer.read()
                statuses.append(answer.status)

    phones = threading.Thread(target=report)
    phones.start()
    try:
        yield statuses
    finally:
        is_over.set()
        phones.join()
    if set(statuses) != {202}:
        raise RuntimeError(f"Reports were answered {set(statuses)}.")


def _make_bodies(database_url: str, number: int, size: int) -> Iterator[str]:
    """Yield requests of `size` events, each of another user of a push."""
    database = Database(database_url, max_connections=1)
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(_PUSH, {"number": number})
        keys = select_receipt_keys(connection, utc_now())
    database.close()
    write = keys.writer(number, 1, is_test=False, is_dry_run=False)
    for request in range(REQUESTS):
        users = (UUID(int=request * size + n + 1) for n in range(size))
        events = [{"receipt": write(user, 0), "event": "opened"} for user in users]
        yield json.dumps({"events": events})


def _count(stack: Stack, table: str) -> int:
    ((rows,),) = stack.ledger(f"SELECT count(*) FROM {table}")  # noqa: S608 - our own names
    return int(rows)
