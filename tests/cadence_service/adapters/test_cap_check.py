"""How the cap check reads the history, over a real PostgreSQL."""

from datetime import timedelta
from uuid import UUID

import pytest

from cadence_service.adapters.cap_check import CapQuestion, choose_plan, counted_sends
from cadence_service.adapters.partitions import partition_name
from cadence_service.domain.cadence import CadenceRule
from cadence_service.domain.user_ids import read_uuids
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase

NOW = utc_now()
RULE = CadenceRule(
    name="cooldown",
    applies_to_layers=frozenset({3}),
    counted_layers=frozenset({3}),
    window=timedelta(days=3),
    max_count=1,
)
#: Spread over all ids that there can be.
USERS = read_uuids(UUID(int=number << 120) for number in range(256))


@pytest.fixture(params=["never counted", "counted while it was empty"])
def a_new_week(database: BulkDatabase, request: pytest.FixtureRequest) -> None:
    """Fill a week of which PostgreSQL knows no rows, and let another reservation hold slots."""
    with database.transaction() as connection:
        connection.execute("TRUNCATE user_notifications")
        if request.param != "never counted":
            connection.execute("ANALYZE user_notifications")
        connection.execute(
            """
            INSERT INTO user_notifications (user_id, sent_at, layer_id)
            SELECT gen_random_uuid(), %s, 3 FROM generate_series(1, 50000)
            """,
            (NOW,),
        )
        connection.execute(
            """
            INSERT INTO reservations (key, layer_id, scheduled_for, rule_set, state, expires_at,
                                      body_digest)
            SELECT 'another', 3, %s, max(version), 'reserved', now() + interval '1 h', ''
              FROM rule_sets
            """,
            (NOW,),
        )


def test_a_few_users_are_looked_up_one_by_one_in_a_week_that_has_just_begun(
    database: BulkDatabase, a_new_week: None
) -> None:
    question = CapQuestion(USERS, [RULE], NOW)

    with database.transaction() as connection:
        plan = choose_plan(connection, question)
        explained = connection.execute(
            f"EXPLAIN {counted_sends(plan)}", question.parameters()
        ).fetchall()

    assert not plan.merges
    assert plan.has_reserved
    steps = "\n".join(line for (line,) in explained)
    assert "Join Filter" not in steps, steps
    assert "Materialize" not in steps, steps
    assert f"Seq Scan on {partition_name(NOW)}" not in steps, steps
