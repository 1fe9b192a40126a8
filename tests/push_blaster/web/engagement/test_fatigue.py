"""The route of the fatigue curve."""

import pytest
from flask.testing import FlaskClient

from chassis.postgres import Database
from tests.push_blaster.fatigue_support import write_sample


def test_without_any_push_the_route_says_that_it_is_too_early(client: FlaskClient) -> None:
    answer = client.get("/api/results/fatigue").json

    assert answer is not None
    assert (answer["since"], answer["until"], answer["layerId"]) == (None, None, None)
    assert (answer["users"], answer["shareOfUsers"]) == (0, 1.0)
    assert [one["level"] for one in answer["levels"]] == [1, 2, 3, 4, 5, 6]
    assert answer["levels"][1]["opening"]["verdict"] == "too_early"
    assert answer["sentence"].startswith("Too early to tell")


def test_the_route_compares_each_level_with_the_first_push(
    client: FlaskClient, database: Database
) -> None:
    write_sample(database)

    answer = client.get("/api/results/fatigue?layerId=3").json
    other = client.get("/api/results/fatigue?layerId=2").json

    assert answer is not None
    first, second = answer["levels"][:2]
    assert first["opening"] is None
    assert (first["pushes"], first["openRate"]) == (300, 0.5)
    assert (second["openRate"], second["opening"]["ratio"]) == (0.2, pytest.approx(0.4))
    assert second["opening"]["sentence"] == answer["sentence"]
    assert second["optOutRate"] == pytest.approx(0.2)
    assert second["optingOut"]["ratio"] == pytest.approx(2.0)
    assert other is not None
    assert [one["pushes"] for one in other["levels"]] == [0] * 6


@pytest.mark.parametrize("query", ["layerId=0", "layerId=x", "layerId=99999999999", "layer=3"])
def test_what_is_no_layer_is_refused(client: FlaskClient, query: str) -> None:
    assert client.get(f"/api/results/fatigue?{query}").status_code == 400
