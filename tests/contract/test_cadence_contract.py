"""The real client against the real service, over a socket, so that the contract cannot rot."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from chassis.postgres import BulkDatabase
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.adapters.cadence.cadence_http import CadenceUnavailableError
from push_blaster.domain.cadence.cadence import CapVerdict, SentTexts, TrackedSend
from push_blaster.domain.cadence.history import HistoryKind
from tests.cadence_service.settings import CADENCE_TOKEN
from tests.people import ALICE, BOB

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def client(cadence_service: str) -> CadenceClient:
    return CadenceClient(cadence_service, CADENCE_TOKEN)


def a_send(**changes: object) -> TrackedSend:
    values = {
        "user_id": ALICE,
        "layer_id": 3,
        "push": SentTexts(
            title="Title", body="", audience_description="News: everybody", deep_link=None
        ),
        "sent_at": NOON,
        "actually_sent_at": NOON + timedelta(seconds=3),
        "idempotency_key": "news@1/1/live/alice",
        **changes,
    }
    return TrackedSend(**values)  # type: ignore[arg-type]  # a table of mixed values


def test_an_audience_comes_back_as_it_was_asked(client: CadenceClient) -> None:
    verdict = client.reserve_audience([ALICE, BOB], 3, NOON, "a")

    assert verdict == CapVerdict(eligible=frozenset({ALICE, BOB}), capped={})


def test_what_was_tracked_holds_back_and_says_by_which_rule(client: CadenceClient) -> None:
    client.track([a_send()])

    verdict = client.reserve_audience([ALICE, BOB], 3, NOON + timedelta(hours=1), "a")

    assert verdict.eligible == {BOB}
    assert verdict.capped == {ALICE: "layer_3_cooldown_hours"}


def test_telling_twice_counts_once(client: CadenceClient, cadence_database: BulkDatabase) -> None:
    client.track([a_send(), a_send(user_id=BOB, idempotency_key="bob")])
    client.track([a_send(), a_send(user_id=BOB, idempotency_key="bob")])

    with cadence_database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT user_id, sent_at, actually_sent_at FROM user_notifications")
        assert sorted(cursor.fetchall()) == sorted(
            (user, NOON, NOON + timedelta(seconds=3)) for user in (ALICE, BOB)
        )


def test_failing_open_is_told_with_its_reason(
    client: CadenceClient, cadence_database: BulkDatabase
) -> None:
    with cadence_database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE cadence_rules SET is_active = false")

    verdict = client.reserve_audience([ALICE], 3, NOON, "a")

    assert verdict.failed_open
    assert verdict.eligible == {ALICE}
    assert verdict.reason


def test_a_wrong_token_is_an_outage_with_its_reason(cadence_service: str) -> None:
    with pytest.raises(CadenceUnavailableError, match="answered 401"):
        CadenceClient(cadence_service, "wrong").reserve_audience([ALICE], 3, NOON, "a")


def test_a_well_service_answers_the_ping(client: CadenceClient) -> None:
    client.ping()


def test_a_settled_batch_is_confirmed_and_its_other_slots_are_given_back(
    client: CadenceClient, cadence_database: BulkDatabase
) -> None:
    key = "garden news@20261124T120000Z/1/0"
    client.reserve_audience([ALICE, BOB], 3, NOON, key)
    assert client.reserve_audience([ALICE, BOB], 3, NOON, "other").eligible == frozenset()

    client.extend_reservation(key)
    client.track([a_send()], key)
    assert client.settle(key, a_send().push, NOON, ALICE.bytes)
    assert client.settle(key, a_send().push, NOON, ALICE.bytes), "safe to repeat"

    assert client.reserve_audience([ALICE, BOB], 3, NOON, "third").eligible == {BOB}
    with cadence_database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("TABLE held_slots")
        assert [row[0] for row in cursor] == [BOB]
        cursor.execute("SELECT user_id FROM user_notifications")
        assert cursor.fetchall() == [(ALICE,)]


def test_what_was_never_reserved_cannot_be_settled(client: CadenceClient) -> None:
    assert not client.settle("none", a_send().push, NOON, ALICE.bytes)


def test_slots_that_nobody_holds_cannot_be_held_longer(client: CadenceClient) -> None:
    with pytest.raises(CadenceUnavailableError, match="knows no such reservation"):
        client.extend_reservation("none")


def test_a_user_s_history_has_what_was_sent_reserved_and_excluded(client: CadenceClient) -> None:
    client.track([a_send()])
    client.reserve_audience([ALICE], 3, NOON + timedelta(hours=1), "news@2/1/0")
    client.reserve_audience([ALICE], 1, NOON + timedelta(hours=1), "news@3/1/0")

    page = client.read_history(ALICE, None, None, None)
    (slot,) = [one for one in page.entries if one.kind is HistoryKind.SLOT]
    (exclusion,) = [one for one in page.entries if one.kind is HistoryKind.EXCLUSION]
    (sent,) = [one for one in page.entries if one.kind is HistoryKind.NOTIFICATION]
    rest = client.read_history(ALICE, NOON, NOON + timedelta(days=1), (slot.at, slot.id))

    assert not page.has_more
    assert len(page.entries) == 3
    assert (slot.reservation_key, slot.at) == ("news@3/1/0", NOON + timedelta(hours=1))
    assert (exclusion.rule, exclusion.counted_sends) == ("layer_3_cooldown_hours", [NOON])
    assert sent.key_digests == [sha256(b"news@1/1/live/alice").hexdigest()]
    assert (sent.push_title, sent.audience_description) == ("Title", "News: everybody")
    assert list(rest.entries) == [sent]
    assert client.read_history(BOB, None, None, None).entries == []
