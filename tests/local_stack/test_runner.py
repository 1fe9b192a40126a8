"""`make run`: a first start, deaths of its parts, a second start, an end that leaves nothing."""

import json
import re
import signal
from pathlib import Path

import pytest
import requests

from tests.journeys.stack import wait_until
from tests.local_stack.stack import LocalStack, make_stack, stop_whatever


def is_well(stack: LocalStack) -> bool:
    try:
        health = requests.get(f"{stack.push_url}/health", timeout=5)
    except requests.RequestException:
        return False
    return health.ok and health.json()["status"] == "healthy"


def funnels(said: str) -> list[list[int]]:
    """Return the numbers of the funnel's lines, one list for each push."""
    lines = re.findall(r"^ +([1-3] +\d+ +\d+ +\d+ +\d+ +\d+ +\d+ +\d+)$", said, re.MULTILINE)
    return [[int(number) for number in line.split()] for line in lines]


def test_a_first_start_shows_the_whole_job_on_the_example(local_stack: LocalStack) -> None:
    local_stack.wait_to_say("The execution is completed.")

    said = local_stack.said()
    order = [
        "The script garden_activity runs.",
        "Test sending begins.",
        "The cancellation window is open",
        "Live execution begins.",
        "Push 3 goes out",
        "The execution is completed.",
    ]
    places = [said.index(text) for text in order]
    assert places == sorted(places)
    sent = [line[6] for line in funnels(said)]
    assert len(sent) == 3
    messages = (local_stack.folder / "sent" / "messages.jsonl").read_text().splitlines()
    assert len(messages) >= sum(sent) > 1_000
    assert "[[var:" not in "\n".join(messages)
    assert {"title", "body", "data", "displayTag", "userId"} <= json.loads(messages[-1]).keys()
    phones = local_stack.folder / "logs" / "phones.log"
    wait_until(phones.read_text, lambda said: "conversions: 202" in said, 60)
    assert '"refused":0' in phones.read_text()
    assert (local_stack.folder / "admin.token").stat().st_mode & 0o077 == 0


def test_run_again_and_cadence_holds_the_same_users_back(local_stack: LocalStack) -> None:
    local_stack.wait_to_say("The execution is completed.")

    again = local_stack.ask("example")

    assert again.returncode == 0, again.stderr
    first, second = funnels(local_stack.said()), funnels(again.stdout)
    assert second[0][6] == 0, "the first push has a pause of three days"
    reached = [(f[4] + f[6], s[4] + s[6]) for f, s in zip(first, second, strict=True)]
    # Some of those who opened a message of the first run opted out in it.
    assert all(0.95 * before < after <= before for before, after in reached), reached
    assert sum(line[4] for line in second) > sum(line[4] for line in first)
    assert "capped by layer_3_cooldown_hours" in again.stdout


def test_a_second_stack_on_the_same_port_is_refused_with_the_fix(
    local_stack: LocalStack,
) -> None:
    local_stack.wait_to_say("admin token")

    refused = local_stack.ask("run")

    assert refused.returncode == 1
    assert "set PUSH_PORT to another port" in refused.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("push-blaster", "engine"),
        ("push-blaster", "serve"),
        ("cadence-service", "serve"),
        ("postgres", "-D"),
    ],
    ids=["engine", "web", "cadence", "PostgreSQL"],
)
def test_what_is_killed_runs_again(local_stack: LocalStack, words: tuple[str, ...]) -> None:
    wait_until(lambda: is_well(local_stack), bool, 60)
    victims = local_stack.find(*words)
    assert victims
    oldest = min(victims, key=lambda process: process.create_time())

    oldest.kill()

    oldest.wait(10)
    wait_until(lambda: bool(local_stack.find(*words)) and is_well(local_stack), bool, 60)


def test_ctrl_c_leaves_nothing_behind_and_the_next_start_knows_everything(
    open_folder: Path,
) -> None:
    stack = make_stack(open_folder / "short")
    try:
        stack.start()
        stack.wait_to_say("runs: garden-activity@")
        assert stack.stop() == 0
        assert stack.processes() == []

        stack.start()
        wait_until(lambda: is_well(stack), bool, 60)
        headers = {"Authorization": f"Bearer {stack.token}"}
        (execution,) = requests.get(
            f"{stack.push_url}/api/executions", headers=headers, timeout=10
        ).json()["executions"]
        assert stack.said().count("runs: garden-activity@") == 1, "the example runs once"
        assert execution["trigger"] == "manual"
        stack.stop(signal.SIGKILL)
        wait_until(stack.processes, lambda left: not left, 30)
    finally:
        stop_whatever([stack])


def test_half_a_pair_of_databases_is_refused(open_folder: Path) -> None:
    stack = make_stack(open_folder / "half")
    stack.environment["PUSH_BLASTER_DATABASE_URL"] = "postgresql://localhost/x"

    refused = stack.ask("run")

    assert refused.returncode == 1
    assert "Set both PUSH_BLASTER_DATABASE_URL and PUSH_CADENCE_DATABASE_URL" in refused.stderr


@pytest.mark.parametrize("port", ["zero", "0", "-1", "99999"])
def test_a_port_that_is_none_is_named(open_folder: Path, port: str) -> None:
    stack = make_stack(open_folder / "odd")
    stack.environment["PUSH_PORT"] = port

    refused = stack.ask("run")

    assert refused.returncode == 1
    assert f"PUSH_PORT is '{port}'; use a port, a number from 1 to 65535." in refused.stderr
