"""Cursors go through URLs whose writer encodes nothing."""

from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qs

import pytest
from flask.testing import FlaskClient
from marshmallow import ValidationError

from chassis.instants import read_instant
from push_blaster.web.frame.cursors import read_cursor, write_cursor
from tests.push_blaster.web.recipes import create

AT = datetime(2026, 11, 24, 12, 0, 0, 123456, UTC)


def through_a_url(cursor: str) -> str:
    return parse_qs(f"cursor={cursor}")["cursor"][0]


@pytest.mark.parametrize("at", [AT, AT.astimezone(timezone(timedelta(hours=5, minutes=30)))])
def test_a_cursor_survives_a_client_that_does_not_encode_it(at: datetime) -> None:
    cursor = write_cursor(at, "news@20261124T120000Z")

    assert "+" not in cursor
    assert read_cursor(through_a_url(cursor), read_instant, str) == (AT, "news@20261124T120000Z")


def test_a_cursor_of_the_version_before_is_read_too() -> None:
    cursor = f"{AT.isoformat()}|x"

    assert read_cursor(cursor, read_instant, str) == (AT, "x")
    assert read_cursor(through_a_url(cursor), read_instant, str) == (AT, "x")


@pytest.mark.parametrize("cursor", ["", "x|y", "2026-11-24T12:00:00|x", "2026-11-24|x"])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(ValidationError, match="Not a cursor"):
        read_cursor(cursor, read_instant, str)


def test_a_list_is_read_to_its_end_with_cursors_as_they_are(client: FlaskClient) -> None:
    for name in ("a", "b", "c"):
        create(client, id=name)
        client.post("/api/executions", json={"automationId": name})

    found, cursor = [], ""
    while cursor is not None:
        answer = client.get(f"/api/executions?limit=1{cursor}").get_json()
        found += [execution["automationId"] for execution in answer["executions"]]
        cursor = answer["nextCursor"] and f"&cursor={answer['nextCursor']}"

    assert sorted(found) == ["a", "b", "c"]
