"""A seeded history for the cadence measurements, in our shape and in the original's."""

from contextlib import closing

from psycopg import sql

from cadence_service.adapters.partitions import make_partitions
from cadence_service.cli import MIGRATIONS
from chassis.clock import utc_now
from chassis.migrations import migrate
from chassis.postgres import BulkDatabase
from local_stack.embedded_postgres import EmbeddedPostgres

#: As a server of this size would be set.
SERVER = {
    "shared_buffers": "4GB",
    "work_mem": "256MB",
    "maintenance_work_mem": "1GB",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "30min",
    "max_parallel_workers_per_gather": "0",
}

_OURS = """
INSERT INTO user_notifications (user_id, sent_at, layer_id, message_id, rule_set, actually_sent_at)
SELECT md5((floor(random() * {users}))::int::text)::uuid, at, 1 + floor(random() * 5)::int,
       1, 1, at
  FROM (SELECT now() - random() * interval '28 days' AS at
          FROM generate_series(1, {rows})) t
 ORDER BY 1
"""

#: The original's table, with its texts in every row and its four indexes.
_ORIGINALS = """
CREATE TABLE original_notifications AS
SELECT gen_random_uuid() AS id, user_id, layer_id::int AS layer_id, sent_at,
       'Your trend is back in stock' AS push_title,
       'Somebody near you offers what you wished for, have a look before it is gone' AS push_body,
       'Trend, recent wishers of the last two days' AS audience_description,
       'https://garden.example.com/offers?plant=tomato' AS deep_link
  FROM user_notifications;
ALTER TABLE original_notifications ADD PRIMARY KEY (id);
CREATE INDEX ON original_notifications (user_id, sent_at);
CREATE INDEX ON original_notifications (layer_id);
CREATE INDEX ON original_notifications (sent_at);
"""


def fill(postgres: EmbeddedPostgres, rows: int, users: int) -> BulkDatabase:
    """Return a database with the history in both shapes."""
    database = BulkDatabase(postgres.create_database("bench_cadence"), max_connections=20)
    migrate(database, MIGRATIONS)
    make_partitions(database, utc_now())
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("INSERT INTO messages (digest, push_title) VALUES ('x', 'T')")
        cursor.execute("SELECT setseed(0.5)")
        cursor.execute(sql.SQL(_OURS).format(users=sql.Literal(users), rows=sql.Literal(rows)))
        cursor.execute(_ORIGINALS)
    with closing(database.connect()) as connection:
        connection.autocommit = True
        connection.execute("SET statement_timeout = 0")
        # As autovacuum leaves tables after a while.
        connection.execute("VACUUM ANALYZE user_notifications")
        connection.execute("VACUUM ANALYZE original_notifications")
        connection.execute("CHECKPOINT")
    return database
