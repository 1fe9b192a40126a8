"""Who got more than the rules allow, against the pure rule."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cadence_service.adapters.rule_table import select_rule_set
from cadence_service.domain.cadence import CadenceRule, Send, find_breach, find_rules
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from tests.people import ALICE, BOB, CAROL

NOON = utc_now().replace(microsecond=0)
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
PEOPLE = (ALICE, BOB, CAROL)


def record(database: BulkDatabase, user_id: UUID, layer: int, at: datetime) -> None:
    with database.transaction() as connection:
        connection.execute(
            "INSERT INTO user_notifications (user_id, layer_id, sent_at) VALUES (%s, %s, %s)",
            (user_id, layer, at),
        )


def find_overruns(
    rules: Iterable[CadenceRule], sends: Sequence[Send], own: Send
) -> list[CadenceRule]:
    """Return the rules that `own`, one of a user's `sends`, has broken; none if it is not there.

    A send breaks a rule if other sends use up the cap of a trailing window around it, no matter
    which of them came first.
    """
    others = list(sends)
    if own not in others:
        return []
    others.remove(own)
    checked = find_rules(rules, own.layer_id)
    return [rule for rule in checked if find_breach([rule], others, own.sent_at)]


def over_cap(cadence: FlaskClient, layer: int = 3) -> dict[str, Any]:
    body = {
        "userIds": [*map(str, PEOPLE), "nobody"],
        "layerId": layer,
        "sentAt": NOON.isoformat(),
    }
    response = cadence.post("/over-cap", json=body)
    assert response.status_code == 200, response.json
    answer: dict[str, Any] = response.get_json()
    return answer


def test_a_second_send_within_a_cooldown_is_one_too_many(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    record(database, ALICE, 3, NOON)
    record(database, ALICE, 3, NOON - 72 * HOUR + MICROSECOND)
    record(database, BOB, 3, NOON)
    record(database, BOB, 3, NOON - 72 * HOUR)
    record(database, CAROL, 3, NOON - HOUR)

    answer = over_cap(cadence)

    assert answer["byRule"] == {
        "layer_3_cooldown_hours": [str(ALICE)],
        "combined_l2_l3_limit_hours": [],
    }
    assert (answer["users"], answer["rulesVersion"]) == (1, 1)


def test_a_later_send_makes_an_earlier_one_too_many_as_well(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    for days in (0, 4, 5, 6):
        record(database, ALICE, 2, NOON + days * 24 * HOUR)

    assert over_cap(cadence, layer=2)["byRule"] == {"combined_l2_l3_limit_hours": [str(ALICE)]}


def test_a_later_window_no_longer_counts_what_is_exactly_as_old_as_it(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    for hours in (0, 24, 48, 48 - 168):
        record(database, ALICE, 2, NOON + hours * HOUR)

    assert over_cap(cadence, layer=2)["users"] == 0
    record(database, ALICE, 2, NOON + 48 * HOUR - 168 * HOUR + MICROSECOND)
    assert over_cap(cadence, layer=2)["users"] == 1


def test_what_is_exempt_or_without_rules_is_never_over_a_cap(
    cadence: FlaskClient, database: BulkDatabase
) -> None:
    for layer in (1, 1, 3, 3):
        record(database, ALICE, layer, NOON)

    assert over_cap(cadence, layer=1)["users"] == 0
    with database.transaction() as connection:
        connection.execute("UPDATE cadence_rules SET is_active = false")
    answer = over_cap(cadence)
    assert answer["users"] == 0
    assert "no active cadence rule" in answer["failOpenReason"]


@pytest.fixture
def changed_rules(database: BulkDatabase) -> Iterator[None]:
    """Let a test change what rules count, and undo it."""
    yield
    with database.transaction() as connection:
        connection.execute("UPDATE cadence_rules SET counted_layers = applies_to_layers")


OFFSETS = st.one_of(
    st.just(timedelta(0)),
    st.integers(-10, 10).map(lambda days: timedelta(days=days)),
    st.sampled_from([72 * HOUR, 96 * HOUR, 168 * HOUR]).flatmap(
        lambda window: st.sampled_from(
            [window, -window, window - MICROSECOND, MICROSECOND - window]
        )
    ),
)
HISTORIES = st.lists(
    st.tuples(st.sampled_from(PEOPLE), st.sampled_from([1, 2, 3, 5]), OFFSETS), max_size=14
)


@pytest.mark.slow
@pytest.mark.usefixtures("changed_rules")
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=HISTORIES, layer=st.sampled_from([2, 3, 5]), counts_itself=st.booleans())
def test_the_set_based_statement_is_the_pure_rule(
    cadence: FlaskClient,
    database: BulkDatabase,
    history: list[tuple[UUID, int, timedelta]],
    layer: int,
    counts_itself: bool,
) -> None:
    counted = "applies_to_layers" if counts_itself else "'{1,5}'"
    with database.transaction() as connection:
        connection.execute("TRUNCATE user_notifications")
        connection.execute(
            f"UPDATE cadence_rules SET counted_layers = {counted} WHERE max_count = 3"  # noqa: S608
        )
        rule_set = select_rule_set(connection)
    assert rule_set
    for user_id, sent_on, offset in history:
        record(database, user_id, sent_on, NOON + offset)
    expected: dict[str, list[str]] = {}
    for user in PEOPLE:
        sends = [Send(sent_on, NOON + offset) for u, sent_on, offset in history if u == user]
        for rule in find_overruns(rule_set.rules, sends, Send(layer, NOON)):
            expected.setdefault(rule.name, []).append(str(user))

    answer = over_cap(cadence, layer)

    found = {rule: sorted(users) for rule, users in answer["byRule"].items() if users}
    assert found == {rule: sorted(users) for rule, users in expected.items()}
    assert answer["users"] == len({user for users in expected.values() for user in users})
