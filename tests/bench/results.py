"""How soon results are answered over the counters of many deliveries, and how a large push counts.

Counters and ledger are made in SQL. Answers come from the app with its routes; the background count
runs as in an engine's maintenance.
"""

import logging
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.migrations import migrate
from chassis.postgres import Database
from chassis.rows import execute, fetch_value
from local_stack.embedded_postgres import run_postgres
from push_blaster.adapters.engagement.push_sample import MAX_ROWS
from push_blaster.adapters.funnels import keep_funnels
from push_blaster.app import create_app
from push_blaster.domain.cadence.caps import Cap
from push_blaster.domain.engagement.results import Grouping
from push_blaster.settings import MIGRATIONS
from push_blaster.use_cases.cadence.compare_capped import compare_capped
from push_blaster.use_cases.engagement.count_results import count_some
from push_blaster.wiring import connect_adapters
from tests.push_blaster.settings import settings_for

#: Users of one push among the counters, automations, and the rounds of each question.
USERS: Final = 5_000
AUTOMATIONS: Final = 100
ROUNDS: Final = 7
BATCH: Final = 2_500
SERVER: Final = {"shared_buffers": "256MB", "max_wal_size": "4GB", "synchronous_commit": "off"}

#: A push to USERS users every hour and a half or so; four variants, and a holdout with a goal.
_COUNTERS: Final = """
    INSERT INTO result_pushes (execution_number, position, execution_id, automation_id,
                               automation_name, push_id, layer_id, mode, is_counted, variants,
                               texts_digest, zone, goal_name, goal_hours, sent_at, week, next_batch,
                               counted_at)
    SELECT n, 1, 'a' || n %% %(automations)s || '@' || n, 'a' || n %% %(automations)s, 'Name', 'p1',
           1 + n %% 4, 'live', true, ARRAY['A', 'B', 'C', 'D'], 'texts', 'Europe/Berlin', 'order',
           48, at, date_trunc('week', at), 0, at
      FROM generate_series(1, %(pushes)s) n,
           LATERAL (SELECT now() - n * interval '90 days' / %(pushes)s AS at) t;
    INSERT INTO result_counts (execution_number, position, variant, sent, failed, delivered, opened,
                               first_at_risk, first_opened, assigned, converted, first_assigned,
                               first_converted, conversions, value)
    SELECT n, 1, v, share, 3, share * 9 / 10, share / 10, share / 2, share / 20, share, share / 50,
           share / 2 + n %% 37, share / 100, share / 40, share
      FROM generate_series(1, %(pushes)s) n, generate_series(-1, 4) v,
           LATERAL (SELECT CASE WHEN v < 1 THEN %(users)s / 10 ELSE %(users)s / 5 END AS share) s
     WHERE v <> 0;
    ANALYZE result_pushes; ANALYZE result_counts
"""
#: As many pushes of 37 days as the sample of users has at most, of users who got 1 to 40 of them.
_SAMPLE: Final = """
    INSERT INTO sampled_pushes (user_id, execution_number, position, layer_id, at, is_sent, recent,
                                is_opened, is_opted_out)
    SELECT md5(u::text)::uuid, n, 1, 1 + n %% 4, now() - n * interval '21 hours', true,
           least(n, u) %% 9, (n * 7 + u) %% 11 = 0, (n * 5 + u) %% 499 = 0
      FROM generate_series(1, %(rows)s / 20) u, generate_series(1, 1 + u %% 40) n;
    ANALYZE sampled_pushes
"""
#: A rule that caps a part of the sample.
_CAP: Final = Cap(frozenset({2, 3}), frozenset({2, 3}), timedelta(days=7), 2)
#: One execution with a large push that has just ended; every tenth user opened the texts before.
_LEDGER: Final = """
    INSERT INTO executions (id, automation_id, automation_name, automation_version, mode, trigger,
                            slot, begins_at, phase, snapshot, created_at, ended_at, number)
    VALUES ('big@1', 'a1', 'Name', 1, 'live', 'schedule', now(), now(), 'completed', '{}', now(),
            now(), 1000000000);
    INSERT INTO execution_pushes (execution_id, position, status, started_at, ended_at,
                                  distinct_users)
    VALUES ('big@1', 1, 'sent', now(), now(), %(rows)s);
    INSERT INTO send_batches (execution_id, position, batch, start_offset, row_count, fence,
                              done_at, counts)
    SELECT 'big@1', 1, b, 0, %(batch)s, 1, now(),
           jsonb_build_array(jsonb_build_object('state', 'sent', 'rule', null, 'variant', 'A',
                                                'users', %(batch)s, 'doubtful', 0))
      FROM generate_series(0, (%(rows)s - 1) / %(batch)s) b;
    INSERT INTO deliveries (execution_id, position, is_test, user_id, state, batch, variant,
                            claimed_at)
    SELECT 'big@1', 1, false, md5(n::text)::uuid, 'sent', n / %(batch)s, 'A', now()
      FROM generate_series(0, %(rows)s - 1) n;
    INSERT INTO first_events (user_id, texts, metric, execution_number)
    SELECT md5(n::text)::uuid, md5(concat_ws(E'\\n', 'a1', 'p1', 'texts'))::uuid, 'opened', 1
      FROM generate_series(0, %(rows)s - 1, 10) n;
    INSERT INTO result_pushes (execution_number, position, execution_id, automation_id,
                               automation_name, push_id, layer_id, mode, is_counted, variants,
                               texts_digest, zone, sent_at, week)
    VALUES (1000000000, 1, 'big@1', 'a1', 'Name', 'p1', 1, 'live', true, ARRAY['A', 'B'], 'texts',
            'Europe/Berlin', now(), date_trunc('week', now()));
    ANALYZE deliveries; ANALYZE first_events
"""


def measure_results(folder: Path, deliveries: int, rows: int) -> None:
    """Print how long results take over so many deliveries, and the count of a push to `rows`."""
    with run_postgres(folder / "postgres", SERVER) as postgres:
        url = postgres.create_database("results")
        database = Database(url, max_connections=4)
        migrate(database, MIGRATIONS)
        values = {"pushes": deliveries // USERS, "users": USERS, "automations": AUTOMATIONS}
        _make(database, _COUNTERS, values)
        settings = settings_for(url, folder)
        app = create_app(settings, replace(connect_adapters(settings), database=database))
        logging.disable(logging.INFO)  # a line for each request
        client = app.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = "Bearer admin"
        _ask_all(client, database)
        _sample(database, client)
        _make(database, _LEDGER, {"rows": rows, "batch": BATCH})
        _count(database, client, rows)
        database.close()


def _make(database: Database, sql: str, values: dict[str, int]) -> None:
    with database.transaction() as connection:
        execute(connection, "SET LOCAL statement_timeout = 0")  # making many rows takes minutes
        execute(connection, sql, values)


def _ask_all(client: FlaskClient, database: Database) -> None:
    with database.transaction() as connection:
        sent, rows = (
            fetch_value(connection, f"SELECT {sum_} FROM result_counts WHERE variant >= 0")  # noqa: S608 - ours
            for sum_ in ("sum(sent)", "count(*)")
        )
    print(f"{sent:,} deliveries of 90 days in {rows:,} counters of {AUTOMATIONS} automations")
    paths = [f"/api/results?group={one}&from=2000-01-01" for one in Grouping]
    paths += ["/api/results?group=day&automationId=a1&from=2000-01-01"]
    paths += ["/api/automation/recipes/a1/results?from=2000-01-01"]
    for path in paths:
        _ask(client, path)


def _sample(database: Database, client: FlaskClient) -> None:
    """Ask for the fatigue curve and for what a cap costs, over a sample that is full."""
    _make(database, _SAMPLE, {"rows": MAX_ROWS})
    for path in ("/api/results/fatigue", "/api/results/fatigue?layerId=3"):
        _ask(client, path)
    _time("what a cap costs and saves", lambda: compare_capped(database, [_CAP], utc_now()))


def _ask(client: FlaskClient, path: str) -> None:
    def ask() -> None:
        answer = client.get(path)
        if answer.status_code != 200:
            raise AssertionError(answer.get_data(as_text=True))

    _time(path, ask)


def _time(name: str, ask: Callable[[], object]) -> None:
    taken = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        ask()
        taken.append(time.perf_counter() - begun)
    print(f"  {name:<64}{statistics.median(taken):7.3f} s, at most {max(taken):.3f} s", flush=True)


def _count(database: Database, client: FlaskClient, rows: int) -> None:
    """Count a push that has ended, as the maintenance of one engine does, without its pauses."""
    with database.transaction() as connection:
        keep_funnels(connection)
    begun, longest = time.perf_counter(), 0.0
    is_more = True
    while is_more:
        step = time.perf_counter()
        is_more = count_some(database)
        longest = max(longest, time.perf_counter() - step)
    taken = time.perf_counter() - begun
    print(f"a push to {rows:,} users is counted in {taken:,.1f} s of work in the background")
    print(f"  the longest transaction takes {longest:.3f} s")
    _ask(client, "/api/automation/recipes/a1/results?from=2000-01-01")
