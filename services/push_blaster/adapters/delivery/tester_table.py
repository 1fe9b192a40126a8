"""The table `testers`: who gets the tests of an execution, and the texts that each tester gets."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from chassis.postgres import Connection
from chassis.rows import execute, fetch_all
from push_blaster.domain.delivery.ledger import LedgerPage, Refusal
from push_blaster.domain.delivery.message import Message


class Tester(NamedTuple):
    """A user or device that a test of a push was meant for, and what became of the test.

    Shape: without `title` and `body` there was no message, and `reason` says why. `state` is the
    one of the ledger; None if the test was stopped before it reached the tester.
    """

    position: int
    user_id: UUID
    name: str | None
    kind: str | None
    platform: str | None
    state: str | None
    reason: str | None
    provider_id: str | None
    title: str | None
    body: str | None


def insert_testers(
    connection: Connection,
    page: LedgerPage,
    messages: Sequence[Message],
    refusals: Sequence[Refusal],
) -> None:
    """Record the messages that are about to be sent, and who gets none; safe to repeat."""
    sql = """
        INSERT INTO testers (execution_id, position, user_id, name, kind, platform, title, body)
        SELECT %(execution_id)s, %(position)s, v.user_id, n.name, v.kind,
               coalesce(n.platform, d.platform), v.title, v.body
          FROM unnest(%(users)s::uuid[], %(tokens)s::text[], %(kinds)s::text[],
                      %(titles)s::text[], %(bodies)s::text[])
               AS v (user_id, token, kind, title, body)
          LEFT JOIN devices d ON d.token = v.token
          LEFT JOIN test_devices n ON n.id = v.user_id
            ON CONFLICT (execution_id, position, user_id) DO UPDATE
           SET name = EXCLUDED.name, kind = EXCLUDED.kind, platform = EXCLUDED.platform,
               title = EXCLUDED.title, body = EXCLUDED.body
    """
    none = [None] * len(refusals)
    values = {
        **page._asdict(),
        "users": [*(m.user_id for m in messages), *(r.user_id for r in refusals)],
        "tokens": [*(m.device_token for m in messages), *none],
        "kinds": [*(m.device_kind or None for m in messages), *none],
        "titles": [*(m.title for m in messages), *none],
        "bodies": [*(m.body for m in messages), *none],
    }
    execute(connection, sql, values)


def select_tester_names(connection: Connection, page: LedgerPage) -> dict[UUID, str]:
    """Return the names of the test devices among the testers of a push."""
    sql = """
        SELECT user_id, name FROM testers
         WHERE execution_id = %(execution_id)s AND position = %(position)s AND name IS NOT NULL
    """
    return dict(fetch_all(connection, sql, page._asdict()))


def select_testers(connection: Connection, execution_id: str) -> list[Tester]:
    """Return the testers of every push of an execution; earlier versions recorded no texts."""
    sql = """
        SELECT position, user_id, t.name, t.kind, t.platform, d.state, d.reason, d.provider_id,
               t.title, t.body
          FROM (SELECT * FROM testers WHERE execution_id = %(id)s) t
          FULL JOIN (SELECT * FROM deliveries WHERE execution_id = %(id)s AND is_test) d
         USING (position, user_id)
         ORDER BY position, t.name, user_id
    """
    return fetch_all(connection, sql, {"id": execution_id}, make=Tester)
