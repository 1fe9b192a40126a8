"""GET and HEAD read, in both services: whatever they are asked for, nothing begins."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.postgres import BulkDatabase, Database
from push_blaster.domain.executions.modes import Mode
from tests.builders import a_document
from tests.push_blaster.bench import Bench
from tests.routes import paths_of

#: What is written at every request: when a token or a session was used.
NOTED = {"tokens", "sessions"}


def count_rows(database: Database | BulkDatabase) -> dict[str, int]:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        names = [str(row[0]) for row in cursor.fetchall()]
        counts = {}
        for name in names:
            cursor.execute(f'SELECT count(*) FROM "{name}"')  # noqa: S608 - names of ours
            (counts[name],) = cursor.fetchone() or (0,)
    return {name: count for name, count in counts.items() if name not in NOTED}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_no_read_of_push_blaster_begins_anything(
    app: Flask, client: FlaskClient, bench: Bench, method: str
) -> None:
    client.post("/api/automation/recipes", json=a_document(id="news"))
    bench.run(bench.start(id="news"))
    before = count_rows(bench.database)

    paths = paths_of(app, method, "news")
    for path in paths:
        client.open(path, method=method, buffered=False).close()
        client.open(f"{path}?automationId=news&action=execute_now", method=method).close()
    for mode in (*Mode, "live-send"):
        client.open(f"/api/automation/test/news?mode={mode}", method=method, buffered=False).close()

    assert len(paths) > 40
    assert count_rows(bench.database) == before


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_no_read_of_cadence_begins_anything(
    cadence_app: Flask, cadence: FlaskClient, cadence_database: BulkDatabase, method: str
) -> None:
    before = count_rows(cadence_database)

    for path in paths_of(cadence_app, method, "1"):
        cadence.open(path, method=method, buffered=False).close()

    assert count_rows(cadence_database) == before
