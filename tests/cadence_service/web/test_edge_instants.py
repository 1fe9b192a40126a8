"""Whatever instant a caller names, the answer is no crash."""

from flask.testing import FlaskClient

from tests.edge_instants import ask_api, find_crashes
from tests.people import ALICE


def test_no_instant_of_a_request_crashes_a_route(cadence: FlaskClient) -> None:
    document = cadence.get("/openapi.json").get_json()

    count, crashed = find_crashes(cadence, ask_api(document))

    assert crashed == []
    assert count > 20


def test_a_history_that_ends_before_it_begins_is_refused(cadence: FlaskClient) -> None:
    period = {"from": "2026-11-24T00:00:00Z", "until": "2026-11-01T00:00:00Z"}

    answer = cadence.get(f"/users/{ALICE}/history", query_string=period)

    assert answer.status_code == 400
    assert "until: The end is before the beginning" in answer.get_json()["detail"]
