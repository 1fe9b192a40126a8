"""Ids as bytes, and bodies that come compressed."""

import gzip
import json
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from cadence_contract import MAX_IDS
from chassis.postgres import BulkDatabase
from tests.cadence_service.history import NOON, record
from tests.people import ALICE, BOB, CAROL


def ask(cadence: FlaskClient, body: bytes, **query: Any) -> Any:
    query = {"layerId": 3, "scheduledFor": NOON.isoformat()} | query
    return cadence.post(
        "/filter-audience", data=body, query_string=query, content_type="application/octet-stream"
    )


def octets(*users: UUID) -> bytes:
    return b"".join(user.bytes for user in users)


def test_positions_are_answered_by_rule(cadence: FlaskClient, database: BulkDatabase) -> None:
    record(database, ALICE, 3, NOON)

    answer = ask(cadence, octets(BOB, ALICE, BOB, CAROL, ALICE)).get_json()

    assert answer == {
        "eligibleCount": 2,
        "excludedCount": 1,
        "excludedPositions": {"layer_3_cooldown_hours": [1], "combined_l2_l3_limit_hours": []},
        "duplicatePositions": [2, 4],
        "exclusionBreakdown": {
            "layer_3_cooldown_hours": 1,
            "combined_l2_l3_limit_hours": 0,
            "invalidUuid": 0,
        },
        "failedOpen": False,
    }


def test_bytes_reserve_as_texts_do(cadence: FlaskClient) -> None:
    first = ask(cadence, octets(ALICE, BOB), reservationKey="a", ttlSeconds=60)
    texts = cadence.post(
        "/filter-audience",
        json={
            "userIds": [str(BOB), str(ALICE)],
            "layerId": 3,
            "scheduledFor": NOON.isoformat(),
            "reservation": {"key": "a"},
        },
    )

    assert first.get_json()["reservation"]["key"] == "a"
    assert texts.get_json()["eligibleUserIds"] == [str(BOB), str(ALICE)]
    assert ask(cadence, octets(ALICE)).get_json()["eligibleCount"] == 0


@pytest.mark.parametrize(
    ("body", "query", "status", "said"),
    [
        (b"", {}, 400, "body: Send at least one user id of 16 bytes."),
        (b"x" * 17, {}, 400, "body: 17 bytes are no whole number of 16-byte ids."),
        (b"x" * 16, {"layerId": 6}, 400, "layerId: Layers are 1 to 5."),
        (b"x" * 16, {"layerId": "x"}, 400, "layerId: Not a valid integer."),
        (b"x" * 16, {"scheduledFor": "noon"}, 400, "scheduledFor: "),
        (b"x" * 16, {"ttlSeconds": 0, "reservationKey": "a"}, 400, "ttlSeconds: "),
        (b"x" * 16, {"layer": 3}, 400, "layer: Unknown field."),
        (bytes(16) * (MAX_IDS + 1), {}, 413, f"at most {MAX_IDS} ids"),
    ],
)
def test_bytes_that_do_not_fit_are_told_why(
    cadence: FlaskClient, body: bytes, query: dict[str, Any], status: int, said: str
) -> None:
    refused = ask(cadence, body, **query)

    assert refused.status_code == status
    assert said in refused.get_json()["error"]


def post_packed(cadence: FlaskClient, body: bytes) -> Any:
    return cadence.post(
        "/filter-audience",
        data=body,
        content_type="application/json",
        headers={"Content-Encoding": "gzip"},
    )


BODY = json.dumps({"userIds": [str(ALICE)], "layerId": 3}).encode()


def test_a_compressed_body_is_unpacked(cadence: FlaskClient) -> None:
    answer = post_packed(cadence, gzip.compress(BODY))

    assert answer.get_json()["eligibleUserIds"] == [str(ALICE)]


def test_what_is_no_gzip_or_cut_off_is_refused(cadence: FlaskClient) -> None:
    for body in (BODY, gzip.compress(BODY)[:-9]):
        refused = post_packed(cadence, body)
        assert refused.status_code == 400
        assert "not whole and valid gzip" in refused.get_json()["error"]


def test_the_limit_counts_what_is_unpacked(cadence: FlaskClient) -> None:
    refused = post_packed(cadence, gzip.compress(b" " * (64 * 1024 * 1024 + 1)))

    assert refused.status_code == 413, refused.get_json()
