"""What an older version recorded and held counts after the upgrade."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from cadence_service.adapters.partitions import make_partitions
from cadence_service.app import create_app
from cadence_service.cli import MIGRATIONS
from chassis.clock import utc_now
from chassis.migrations import migrate
from chassis.postgres import BulkDatabase
from local_stack.embedded_postgres import EmbeddedPostgres
from tests.cadence_service.settings import CADENCE_TOKEN, cadence_settings

SENT, HELD, FREE = (f"a11ce000-0000-4000-8000-00000000000{n}" for n in range(3))


@pytest.fixture
def older(postgres: EmbeddedPostgres) -> Iterator[BulkDatabase]:
    """A database before held slots had a table of their own: one user was sent to, one is held."""
    database = BulkDatabase(postgres.create_database("cadence_upgrade"), max_connections=4)
    migrate(database, MIGRATIONS, to="0004")
    now = utc_now()
    make_partitions(database, now)
    with database.transaction() as connection:
        connection.execute(
            "INSERT INTO reservations (key, layer_id, scheduled_for, rule_set, state, expires_at,"
            " body_digest) VALUES ('k', 3, %(now)s, 1, 'reserved', %(later)s, 'x')",
            {"now": now, "later": now + timedelta(minutes=15)},
        )
        connection.execute(
            "INSERT INTO user_notifications (user_id, sent_at, layer_id, state, reservation_id)"
            " SELECT %(sent)s::uuid, %(now)s, 3, 1, NULL UNION ALL"
            " SELECT %(held)s, %(now)s, 3, 0, id FROM reservations",
            {"sent": SENT, "held": HELD, "now": now},
        )
    yield database
    database.close()


def test_who_was_sent_to_or_held_before_an_upgrade_is_held_back_after_it(
    older: BulkDatabase,
) -> None:
    migrate(older, MIGRATIONS)
    app = create_app(cadence_settings(older.url))

    answer = app.test_client().post(
        "/filter-audience",
        json={"userIds": [SENT, HELD, FREE], "layerId": 3},
        headers={"Authorization": f"Bearer {CADENCE_TOKEN}"},
    )

    assert answer.get_json()["eligibleUserIds"] == [FREE]
