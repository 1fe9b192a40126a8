"""The real processes while their neighbours misbehave: the cadence service, and FCM."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local_stack.embedded_postgres import EmbeddedPostgres
from tests.fakes.fcm_server import FcmServer, run_fcm_server
from tests.fakes.fcm_settings import fcm_settings
from tests.fakes.fickle_proxy import FickleProxy, Mood, run_proxy
from tests.fakes.token_server import make_key, run_token_server
from tests.journeys.stack import Stack, a_journey_automation, running_stack, user, wait_until

ENDED = ("completed", "failed", "cancelled")


#: One user for each word; the device token is the word.
WORDS_SCRIPT = """
import csv, os, uuid
words, first = os.environ["PARAM_WORDS"].split(), int(os.environ["PARAM_FIRST"])
with open(os.path.join(os.environ["OUTPUT_PATH"], "words.csv"), "w", newline="") as f:
    table = csv.writer(f)
    table.writerow(["user_id", "first_name", "device_token"])
    for n, word in enumerate(words, start=first):
        table.writerow([uuid.UUID(int=n), f"Name {n}", word])
"""


@dataclass
class Neighbours:
    stack: Stack
    fcm: FcmServer
    cadence: FickleProxy


@pytest.fixture(scope="module")
def neighbours(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Neighbours]:
    folder = tmp_path_factory.mktemp("neighbours")
    private, public = make_key()
    with (
        run_fcm_server(folder) as fcm,
        run_token_server(public) as google,
        run_proxy() as cadence,
    ):
        settings = {
            "CADENCE_SERVICE_URL": cadence.url,
            **fcm_settings(fcm, google.url, private),
            "PUSH_RETRY_BUDGET_SECONDS": "3",
            "PUSH_RETRY_BACKOFF_SECONDS": "0.1",
            "FCM_ANSWER_TIMEOUT_SECONDS": "1",
        }
        with running_stack(postgres, folder / "data", settings) as stack:
            cadence.target = stack.cadence_url
            (stack.folder / "scripts" / "words.py").write_text(WORDS_SCRIPT)
            yield Neighbours(stack, fcm, cadence)


def run(stack: Stack, automation: dict[str, Any]) -> dict[str, Any]:
    stack.ask("POST", "/api/automation/recipes", automation)
    started = stack.ask("POST", "/api/executions", {"automationId": automation["id"]})
    return stack.wait_for(started["id"], ENDED)


def count_history(stack: Stack, first: int, users: int) -> int:
    found = stack.history(
        "SELECT count(*) FROM user_notifications WHERE user_id BETWEEN %s AND %s",
        user(first),
        user(first + users - 1),
    )
    return int(found[0][0])


@pytest.mark.parametrize(
    ("mood", "said"),
    [
        (Mood.AWAY, "did not answer"),
        (Mood.FAILING, "answered 500: out of order"),
        (Mood.NONSENSE, "answered nonsense"),
        (Mood.SLOW, "did not answer"),
    ],
)
def test_without_cadence_a_send_goes_out_marked_and_is_told_later(
    neighbours: Neighbours, mood: Mood, said: str
) -> None:
    stack, first = neighbours.stack, 1_000 * mood.value
    neighbours.cadence.mood = mood
    name = f"open-{mood.name.lower()}"

    execution = run(stack, a_journey_automation(name, parameters={"first": first, "users": 30}))

    assert execution["phase"] == "completed"
    assert execution["uncapped"] is True
    assert said in execution["uncappedReason"]
    assert execution["pushes"][0]["funnel"]["sent"] == 30
    neighbours.cadence.mood = Mood.WELL
    untold = "SELECT count(*) FROM send_batches WHERE execution_id = %s AND tracked_at IS NULL"
    wait_until(lambda: stack.ledger(untold, execution["id"]), lambda rows: rows == [(0,)], 30)
    assert count_history(stack, first, 30) == 30, "told late, and once"


def test_without_cadence_a_closed_automation_sends_to_nobody(neighbours: Neighbours) -> None:
    neighbours.cadence.mood = Mood.AWAY
    parameters = {"first": 9_001, "users": 5}
    automation = a_journey_automation(
        "closed", parameters=parameters, settings={"failPolicy": "closed"}
    )

    execution = run(neighbours.stack, automation)
    neighbours.cadence.mood = Mood.WELL

    assert execution["phase"] == "failed"
    assert "the automation sends nothing unchecked" in execution["reason"]
    assert execution["pushes"][0]["funnel"]["sent"] == 0


def test_each_answer_of_the_provider_is_accounted_for(neighbours: Neighbours) -> None:
    stack = neighbours.stack
    words = [f"ok-{n}" for n in range(40)]
    words += ["unregistered", "payload", "patient-1", "down", "hang", "cut-1"]
    stack.ask("POST", "/api/devices", {"userId": user(20_040), "token": "unregistered"})
    automation = a_journey_automation(
        "answers", parameters={"first": 20_000, "words": " ".join(words)}
    )
    automation["audienceCriteria"]["customScript"]["scriptId"] = "words"

    execution = run(stack, automation)

    assert execution["phase"] == "completed"
    deliveries = stack.ask("GET", f"/api/executions/{execution['id']}/deliveries")["deliveries"]
    state = {words[int(d["userId"][-4:], 16) - 20_000]: d for d in deliveries}
    assert len(state) == len(words), "everybody is accounted for"
    assert state["unregistered"]["state"] == "token_dead"
    assert (state["payload"]["state"], state["payload"]["reason"]) == (
        "failed",
        "400 INVALID_ARGUMENT: INVALID_ARGUMENT",
    )
    assert state["patient-1"]["state"] == "sent"
    assert state["down"]["state"] == "failed"
    assert state["hang"]["state"] == "in_doubt"
    assert state["cut-1"]["state"] == "sent"
    assert state["cut-1"]["wasInDoubt"] is True
    funnel = execution["pushes"][0]["funnel"]
    assert (funnel["sent"], funnel["failed"], funnel["inDoubt"]) == (42, 3, 1)
    received = [m["token"] for m in neighbours.fcm.received if m["token"] in state]
    assert set(received) == {w for w, d in state.items() if d["state"] == "sent"}
    (device,) = stack.ask("GET", f"/api/devices?userId={user(20_040)}")["devices"]
    assert device["deadReason"] == "404 UNREGISTERED: Requested entity was not found."


def test_an_account_that_is_refused_fails_the_execution_and_blames_nobody(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    neighbours.fcm.accepted_token = "another"
    parameters = {"first": 30_001, "users": 5}

    execution = run(neighbours.stack, a_journey_automation("refused", parameters=parameters))
    neighbours.fcm.accepted_token = None

    assert execution["phase"] == "failed"
    assert "FCM refuses our credentials" in execution["reason"]
    assert execution["pushes"][0]["funnel"]["sent"] == 0
    assert execution["pushes"][0]["funnel"]["failed"] == 0
