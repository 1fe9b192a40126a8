"""The page and the answer of an execution show its experiment: the wait, and the decision."""

from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from push_blaster.use_cases.executions.stop_execution import stop_execution
from tests.builders import NOON
from tests.page_reader import table_rows
from tests.push_blaster.bench import Bench
from tests.push_blaster.web.page_support import Visitor

HOUR = timedelta(hours=1)
VARIANTS = [{"id": "plain"}, {"id": "<b>warm</b>", "title": "Dear"}]


def start(bench: Bench, **experiment: Any) -> str:
    push = {"variants": VARIANTS, "experiment": {"testPercent": 50, **experiment}}
    execution_id = bench.start(parameters={"users": 30}, pushes=[push])
    bench.work()
    return execution_id


def answer(client: FlaskClient, execution_id: str) -> dict[str, Any]:
    push: dict[str, Any] = client.get(f"/api/executions/{execution_id}").get_json()["pushes"][0]
    return push


def test_the_wait_is_told_with_its_end(bench: Bench, client: FlaskClient, viewer: Visitor) -> None:
    execution_id = start(bench)

    push = answer(client, execution_id)
    page = viewer.get(f"/executions/{execution_id}")
    listed = viewer.get("/executions")

    assert push["decision"] == {
        "decidesAt": (NOON + HOUR).isoformat(),
        "decidedAt": None,
        "variant": None,
        "isSure": False,
        "reason": None,
        "figures": {},
    }
    assert push["funnel"]["held"] == 30 - push["funnel"]["sent"]
    assert "50 % of users test the variants. The others wait for the winner until" in page
    assert "Waits for the winner<" in page
    assert "wait for the winner until" in listed


@pytest.mark.parametrize("when_unsure", ["first", "nobody"])
def test_the_decision_is_told_with_its_figures_and_reason(
    bench: Bench, client: FlaskClient, viewer: Visitor, when_unsure: str
) -> None:
    execution_id = start(bench, whenUnsure=when_unsure)
    tested = answer(client, execution_id)["funnel"]["sent"]
    bench.now = NOON + HOUR
    bench.run(execution_id)

    push = answer(client, execution_id)
    page = viewer.get(f"/executions/{execution_id}")

    decision = push["decision"]
    assert decision["decidedAt"] == (NOON + HOUR).isoformat()
    assert decision["variant"] == ("plain" if when_unsure == "first" else None)
    assert sum(arm["users"] for arm in decision["figures"].values()) == tested
    assert push["funnel"]["noWinner"] == (0 if when_unsure == "first" else 30 - tested)
    rows = {row[0]: row[1:] for row in table_rows(page) if len(row) == 4 and "%" in row[3]}
    assert set(rows) >= {"plain", "<b>warm</b>"}
    assert rows["plain"] == [str(decision["figures"]["plain"]["users"]), "0", "0 %"]
    bars = {row[0]: row[1] for row in table_rows(page) if len(row) == 4}
    others = str(30 - tested) if when_unsure == "first" else None
    assert bars.get("The others, with plain: sent") == others
    assert "is known to have opened it" in page


def test_an_experiment_that_ended_undecided_says_so(bench: Bench, viewer: Visitor) -> None:
    execution_id = start(bench)
    stop_execution(bench.database, execution_id, "enough", bench.now)

    page = viewer.get(f"/executions/{execution_id}")

    assert "The push ended before its winner was decided." in page
