"""POST /filter-audience, over a real PostgreSQL."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cadence_service.adapters.rule_table import select_rule_set
from cadence_service.domain.cadence import Send, find_breach, find_next_eligible, find_rules
from cadence_service.domain.user_ids import read_texts
from cadence_service.use_cases.filter_audience import Question, filter_audience
from cadence_service.use_cases.reserve_audience import ReservationRequest, reserve_audience
from chassis.postgres import BulkDatabase
from tests.cadence_service.history import NOON, record
from tests.people import ALICE, BOB, CAROL


def ask(cadence: FlaskClient, *user_ids: object, layer_id: object = 3, **more: Any) -> Any:
    body = {"userIds": [str(u) for u in user_ids], "layerId": layer_id, **more}
    return cadence.post("/filter-audience", json={"scheduledFor": NOON.isoformat(), **body})


def test_whoever_was_sent_to_recently_is_held_back_with_the_reason(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    record(database, ALICE, 3, NOON - timedelta(hours=1))

    response = ask(cadence, ALICE, BOB, explain=True)

    assert response.status_code == 200
    assert response.json == {
        "eligibleUserIds": [str(BOB)],
        "excludedCount": 1,
        "exclusionBreakdown": {
            "layer_3_cooldown_hours": 1,
            "combined_l2_l3_limit_hours": 0,
            "invalidUuid": 0,
        },
        "failedOpen": False,
        "excluded": [
            {
                "userId": str(ALICE),
                "rule": "layer_3_cooldown_hours",
                "countedSends": ["2026-11-24T11:00:00+00:00"],
                "nextEligibleAt": "2026-11-27T11:00:00+00:00",
            }
        ],
    }


@pytest.mark.parametrize(("hours", "count"), [(71.99, 1), (72, 0), (-71.99, 1), (-72, 0)])
def test_a_window_is_half_open_at_the_scheduled_instant(
    cadence: FlaskClient, database: BulkDatabase, hours: float, count: int
) -> None:
    record(database, ALICE, 3, NOON - timedelta(hours=hours))

    assert ask(cadence, ALICE).json["excludedCount"] == count


def test_three_a_week_on_layers_2_and_3_together(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    for days, layer_id in ((6, 2), (5, 3), (4, 2)):
        record(database, ALICE, layer_id, NOON - timedelta(days=days))

    assert ask(cadence, ALICE, layer_id=2).json["exclusionBreakdown"] == {
        "combined_l2_l3_limit_hours": 1,
        "invalidUuid": 0,
    }
    assert ask(cadence, ALICE, layer_id=5).json["excludedCount"] == 0
    assert ask(cadence, ALICE, layer_id=4).json["excludedCount"] == 0


def test_ids_come_back_as_they_were_written_each_once_in_order(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    record(database, CAROL, 3, NOON)
    loud, nil = str(ALICE).upper(), "00000000-0000-0000-0000-000000000000"

    answer = ask(
        cadence, loud, BOB, str(CAROL).upper(), str(ALICE), BOB, "nonsense", "nonsense", nil
    ).json

    assert answer["eligibleUserIds"] == [loud, str(BOB), nil]
    assert answer["exclusionBreakdown"]["invalidUuid"] == 1
    assert answer["excludedCount"] == 2


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"userIds": [], "layerId": 3}, "userIds: Send a list of at least one user id."),
        ({"userIds": "x", "layerId": 3}, "userIds"),
        ({"userIds": ["x", 1], "layerId": 3}, "userIds[1]: Not a text."),
        ({"layerId": 3}, "userIds: Missing data"),
        ({"userIds": ["x"]}, "layerId: Missing data"),
        ({"userIds": ["x"], "layerId": 0}, "layerId: Layers are 1 to 5; 0 is none."),
        ({"userIds": ["x"], "layerId": 6}, "layerId"),
        ({"userIds": ["x"], "layerId": "3"}, "layerId: Layers are whole numbers"),
        ({"userIds": ["x"], "layerId": True}, "layerId: Layers are whole numbers"),
        ({"userIds": ["x"], "layerId": 3, "scheduledFor": "soon"}, "scheduledFor"),
        (
            {"userIds": ["x"], "layerId": 3, "scheduledFor": "0001-01-01T00:00:00Z"},
            "scheduledFor: Instants lie between 1970 and 2200.",
        ),
        ({"userIds": ["x"], "layerId": 3, "reservation": {}}, "reservation"),
    ],
)
def test_a_body_that_does_not_fit_is_told_which_field(
    cadence: FlaskClient, body: object, named: str
) -> None:
    response = cadence.post("/filter-audience", json=body)

    assert response.status_code == 400
    assert response.content_type == "application/problem+json"
    assert response.json
    assert named in response.json["error"]


def test_a_body_that_is_no_json_is_refused(cadence: FlaskClient) -> None:
    response = cadence.post(
        "/filter-audience", data=b"{", headers={"Content-Type": "application/json"}
    )

    assert response.status_code == 400


def test_the_prefix_of_the_original_answers_too(cadence: FlaskClient) -> None:
    response = cadence.post("/api/filter-audience", json={"userIds": [str(ALICE)], "layerId": 1})

    assert response.json
    assert response.json["eligibleUserIds"] == [str(ALICE)]


@pytest.mark.parametrize(
    ("sabotage", "reason"),
    [
        ("UPDATE cadence_rules SET is_active = false", "no active cadence rule applies to layer 3"),
        ("DELETE FROM cadence_rules; DELETE FROM rule_sets", "there are no cadence rules at all"),
    ],
)
def test_without_rules_everybody_valid_passes_and_the_answer_says_so(
    cadence: FlaskClient, database: BulkDatabase, sabotage: str, reason: str
) -> None:
    record(database, ALICE, 3, NOON)
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE r AS TABLE cadence_rules; CREATE TEMP TABLE s AS TABLE rule_sets"
        )
        cursor.execute(sabotage)
        connection.commit()
        try:
            answer = ask(cadence, ALICE, "nonsense").json
        finally:
            cursor.execute(
                "DELETE FROM cadence_rules; DELETE FROM rule_sets;"
                "INSERT INTO rule_sets OVERRIDING SYSTEM VALUE TABLE s;"
                "INSERT INTO cadence_rules TABLE r; DROP TABLE r, s"
            )

    assert answer["eligibleUserIds"] == [str(ALICE)]
    assert answer["failedOpen"] is True
    assert answer["failOpenReason"] == reason
    assert answer["exclusionBreakdown"] == {"invalidUuid": 1}


def test_without_its_database_the_service_fails_open_and_says_so() -> None:
    away = BulkDatabase("postgresql://nobody@127.0.0.1:1/none", max_connections=1)

    filtered = filter_audience(away, Question(read_texts([str(ALICE), "nonsense"]), 3, NOON))

    assert filtered.eligible == [str(ALICE)]
    assert filtered.fail_open_reason
    assert "away" in filtered.fail_open_reason


OFFSETS = st.integers(-200, 200).map(lambda hours: timedelta(hours=hours))
PEOPLE = (ALICE, BOB, CAROL)
#: (who, layer, when, whether it is only held by a reservation)
HISTORIES = st.lists(
    st.tuples(st.sampled_from(PEOPLE), st.sampled_from([1, 2, 3, 5]), OFFSETS, st.booleans()),
    max_size=14,
)


@pytest.mark.slow
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=HISTORIES, layer_id=st.sampled_from([2, 3, 5]), merges=st.booleans())
@example(  # a slot that is held later than anything recorded
    history=[(ALICE, 5, timedelta(0), False), (ALICE, 5, timedelta(hours=132), True)],
    layer_id=5,
    merges=False,
)
def test_the_set_based_statements_are_the_pure_rule(
    database: BulkDatabase,
    history: list[tuple[UUID, int, timedelta, bool]],
    layer_id: int,
    merges: bool,
) -> None:
    with database.transaction() as connection:
        connection.execute("TRUNCATE user_notifications, reservations, held_slots CASCADE")
        # A table that is thought to be large is probed; a small one is merged with.
        connection.execute(
            "UPDATE pg_class SET reltuples = %s WHERE relname ~ '^user_notifications_[0-9]'",
            (0 if merges else 1e9,),
        )
        rule_set = select_rule_set(connection)
    for user_id, layer, offset, is_held in history:
        (hold if is_held else record)(database, user_id, layer, NOON + offset)
    assert rule_set
    rules = find_rules(rule_set.rules, layer_id)
    sends = {
        user: [Send(layer, NOON + offset) for u, layer, offset, _ in history if u == user]
        for user in PEOPLE
    }
    expected = {
        str(user): (
            breach.rule.name,
            breach.counted,
            find_next_eligible(rules, sends[user], NOON),
        )
        for user in PEOPLE
        if (breach := find_breach(rules, sends[user], NOON))
    }

    asked = read_texts([str(user_id) for user_id in (CAROL, ALICE, BOB)])
    question = Question(asked, layer_id, NOON, explain=True)
    answers = [filter_audience(database, question)]
    wish = ReservationRequest("k", timedelta(minutes=1))
    answers += [reserve_audience(database, question, wish) for _ in range(2)]

    for answer in answers:
        assert answer.fail_open_reason is None
        assert {
            asked.texts[asked.users.positions[index]]: (e.rule, e.counted_sends, e.next_eligible_at)
            for index, e in answer.exclusions.items()
        } == expected
        assert answer.eligible == [text for text in asked.texts if text not in expected]
        assert answer.breakdown == {
            rule.name: sum(name == rule.name for name, *_ in expected.values()) for rule in rules
        }
    with database.transaction() as connection:
        held = connection.execute(
            "SELECT user_id FROM held_slots JOIN reservations ON id = reservation_id"
            " WHERE key = 'k' ORDER BY 1"
        ).fetchall()
    assert [row[0] for row in held] == [user for user in PEOPLE if str(user) not in expected]


def hold(database: BulkDatabase, user_id: UUID, layer_id: int, at: datetime) -> None:
    with database.transaction() as connection:
        connection.execute(
            """
            WITH r AS (
              INSERT INTO reservations (key, layer_id, scheduled_for, rule_set, state, expires_at,
                                        body_digest)
              VALUES (gen_random_uuid()::text, %s, %s, 1, 'reserved', now() + interval '1 h', '')
              RETURNING id)
            INSERT INTO held_slots SELECT %s, id FROM r
            """,
            (layer_id, at, user_id),
        )
