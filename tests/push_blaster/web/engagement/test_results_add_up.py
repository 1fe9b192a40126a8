"""Results equal a count in plain Python, whatever happened in which order."""

from decimal import Decimal
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient

from chassis.names import camel_case
from chassis.postgres import Database
from push_blaster.domain.engagement.results import COUNT_NAMES
from tests.push_blaster.engagement_story import SentPush, Story

ZONES = {"news": ZoneInfo("Asia/Tokyo"), "offers": ZoneInfo("America/New_York")}


def read(client: FlaskClient, group: str, **query: Any) -> list[dict[str, Any]]:
    """Return every result of a grouping, page by page."""
    found: list[dict[str, Any]] = []
    cursor: Any = 0
    while cursor is not None:
        given = {"group": group, "from": "2026-10-01", "limit": 3, "cursor": cursor, **query}
        answer = client.get("/api/results", query_string=given)
        assert answer.status_code == 200, answer.json
        found += answer.get_json()["results"]
        cursor = answer.get_json()["nextCursor"]
    return found


def shown(one: dict[str, Any], arm: str = "counts") -> dict[str, Decimal]:
    return {
        n: Decimal(str(one[arm][camel_case(n)])) for n in COUNT_NAMES if one[arm][camel_case(n)]
    }


def expect(counts: dict[str, Decimal] | None) -> dict[str, Decimal]:
    return {name: count for name, count in (counts or {}).items() if count}


def key_of(group: str, push: SentPush, arm: int) -> tuple[Any, ...]:
    """Return the key of a result as the API spells it."""
    at = push.sent_at
    return {
        "automation": (push.automation_id,),
        "push": (push.automation_id, push.push_id),
        "variant": (
            push.automation_id,
            push.push_id,
            push.variants[arm - 1] if arm > 0 else None,
        ),
        "layer": (push.layer_id,),
        "execution": (push.automation_id, push.execution_id),
        "day": (at.date().isoformat(),),
    }[group]


def key_with_arm(group: str, push: SentPush, arm: int) -> tuple[Any, ...]:
    return (min(arm, 0), *key_of(group, push, arm))


PARTS = {
    "automation": ("automationId",),
    "push": ("automationId", "pushId"),
    "variant": ("automationId", "pushId", "variant"),
    "layer": ("layerId",),
    "execution": ("automationId", "executionId"),
    "day": ("day",),
}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_grouping_equals_a_count_in_python(
    client: FlaskClient, database: Database, seed: int
) -> None:
    story = Story(database, seed)
    story.tell(days=5)
    story.finish()

    for group, parts in PARTS.items():
        sums = story.sum_up(partial(key_with_arm, group))
        found = {tuple(one["key"][part] for part in parts): one for one in read(client, group)}

        assert found.keys() == {key[1:] for key in sums if group != "variant" or key[0] == 0}
        for key, one in found.items():
            assert shown(one) == expect(sums.get((0, *key))), (group, key)
            if group != "variant":
                assert shown(one, "holdout") == expect(sums.get((-1, *key))), (group, key)
                assert shown(one, "globalHoldout") == expect(sums.get((-2, *key))), (group, key)


@pytest.mark.parametrize("automation_id", ["news", "offers"])
def test_days_of_one_automation_are_those_of_its_zone(
    client: FlaskClient, database: Database, automation_id: str
) -> None:
    story = Story(database, seed=4)
    story.tell(days=4)
    story.finish()
    zone = ZONES[automation_id]

    found = read(client, "day", automationId=automation_id)

    sums = story.sum_up(
        lambda push, arm: (
            push.automation_id,
            min(arm, 0),
            push.sent_at.astimezone(zone).date().isoformat(),
        )
    )
    days = {key[2] for key in sums if key[0] == automation_id}
    assert [one["key"]["day"] for one in found] == sorted(days, reverse=True)
    for one in found:
        assert shown(one) == expect(sums[automation_id, 0, one["key"]["day"]])


def test_the_results_of_an_automation_are_the_same_sums(
    client: FlaskClient, database: Database
) -> None:
    story = Story(database, seed=5)
    story.tell(days=5)
    story.finish()

    answer = client.get("/api/automation/recipes/news/results?from=2026-10-01").get_json()

    sums = story.sum_up(lambda push, arm: (push.automation_id, push.push_id, min(arm, 0)))
    for push in answer["pushes"]:
        key = ("news", push["result"]["key"]["pushId"], 0)
        assert shown(push["result"]) == expect(sums[key])
        sent = sum(one["counts"]["sent"] for one in push["variants"])
        assert sent <= push["result"]["counts"]["sent"]
    names = ("sent", "opened", "converted", "conversions")
    for name in names:
        total = sum(one["result"]["counts"][name] for one in answer["pushes"])
        assert answer["total"]["counts"][name] == total
        assert sum(one["counts"][name] for one in answer["days"]) == total
        assert sum(one["counts"][name] for one in answer["executions"]) == total
