"""Every case of docs/cadence-rules.md, put to the rule's meaning and to the service."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient

from cadence_service.domain.cadence import (
    CadenceRule,
    Send,
    find_breach,
    find_next_eligible,
    find_rules,
)
from push_blaster.domain.executions.timeline import counted_at
from tests.documents import read_tables
from tests.people import ALICE

PAGE = "docs/cadence-rules.md"
BERLIN = ZoneInfo("Europe/Berlin")
DAY_0 = datetime(2026, 11, 23, tzinfo=UTC)
CASES = read_tables(PAGE, "case", "before", "asked", "answer")
COUNTED = read_tables(PAGE, "planned", "began", "counts at")
INSTANT = r"(?:day (?P<day>\d+)|(?P<date>[\d-]{10})) (?P<time>[\d:]{5,8})"


@dataclass(frozen=True)
class Past:
    """What a user got before the question, or what is reserved for the user."""

    send: Send
    state: str


def read_instant(text: str) -> datetime:
    found = re.fullmatch(INSTANT, text)
    assert found, text
    at = time.fromisoformat(found["time"])
    if found["date"]:
        day = datetime.fromisoformat(found["date"]).date()
        return datetime.combine(day, at, BERLIN).astimezone(UTC)
    return datetime.combine(DAY_0.date() + timedelta(days=int(found["day"])), at, UTC)


def read_past(text: str) -> Past:
    found = re.fullmatch(r"(\d) (.+?)( reserved| released)?", text)
    assert found, text
    return Past(Send(int(found[1]), read_instant(found[2])), (found[3] or " sent").strip())


def read_answer(text: str) -> tuple[str, datetime] | None:
    found = re.fullmatch(r"capped by `(\w+)` until (.+)", text)
    assert found or text == "goes out", text
    return (found[1], read_instant(found[2])) if found else None


def the_rules() -> list[CadenceRule]:
    return [
        CadenceRule(
            name=row["rule"].strip("`"),
            applies_to_layers=frozenset(map(int, row["applies to"].split(", "))),
            counted_layers=frozenset(map(int, row["counts"].split(", "))),
            window=timedelta(hours=int(row["window"].removesuffix(" h"))),
            max_count=int(row["at most"]),
        )
        for row in read_tables(PAGE, "rule", "applies to", "counts", "window", "at most")
    ]


def the_past(case: dict[str, str]) -> list[Past]:
    return [read_past(text) for text in case["before"].split(", ") if text]


def test_the_page_tells_the_rules_of_a_new_database(cadence: FlaskClient) -> None:
    seeded: Any = cadence.get("/rules").get_json()["rules"]

    told = [
        {
            "name": rule.name,
            "appliesToLayers": sorted(rule.applies_to_layers),
            "countedLayers": sorted(rule.counted_layers),
            "windowHours": rule.window / timedelta(hours=1),
            "maxCount": rule.max_count,
        }
        for rule in the_rules()
    ]

    assert len(told) == 3
    assert told == [{name: rule[name] for name in told[0]} for rule in seeded]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_the_rules_mean_what_the_page_says(case: dict[str, str]) -> None:
    asked = read_past(case["asked"]).send
    sends = [past.send for past in the_past(case) if past.state != "released"]
    rules = find_rules(the_rules(), asked.layer_id)

    breach = find_breach(rules, sends, asked.sent_at)

    answer = (breach.rule.name, find_next_eligible(rules, sends, asked.sent_at)) if breach else None
    assert answer == read_answer(case["answer"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_the_service_answers_what_the_page_says(cadence: FlaskClient, case: dict[str, str]) -> None:
    for number, past in enumerate(the_past(case)):
        take(cadence, past, f"key-{number}")

    answer = ask(cadence, read_past(case["asked"]).send)

    assert not answer["failedOpen"]
    told = [
        (user["rule"], datetime.fromisoformat(user["nextEligibleAt"]))
        for user in answer["excluded"]
    ]
    expected = read_answer(case["answer"])
    assert told == ([expected] if expected else [])


@pytest.mark.parametrize("case", COUNTED, ids=lambda case: case["began"])
def test_a_send_counts_at_the_instant_that_the_page_says(case: dict[str, str]) -> None:
    planned, began, counted = (read_instant(f"day 0 {text}") for text in case.values())

    assert counted_at(planned, began) == counted


def take(cadence: FlaskClient, past: Past, key: str) -> None:
    """Record a send, or reserve a slot and perhaps release it."""
    if past.state == "sent":
        body = {
            "userId": str(ALICE),
            "layerId": past.send.layer_id,
            "sentAt": past.send.sent_at.isoformat(),
            "pushTitle": "T",
            "pushBody": "B",
            "audienceDescription": "A",
        }
        assert cadence.post("/track-notification", json=body).status_code == 200
        return
    assert not ask(cadence, past.send, reservation={"key": key, "ttlSeconds": 900})["excluded"]
    if past.state == "released":
        assert cadence.delete(f"/reservations/{key}").status_code == 200


def ask(cadence: FlaskClient, send: Send, **more: Any) -> dict[str, Any]:
    body = {
        "userIds": [str(ALICE)],
        "layerId": send.layer_id,
        "scheduledFor": send.sent_at.isoformat(),
        "explain": True,
        **more,
    }
    answer = cadence.post("/filter-audience", json=body)
    assert answer.status_code == 200, answer.json
    document: dict[str, Any] = answer.get_json()
    return document
