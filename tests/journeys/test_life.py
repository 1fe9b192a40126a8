"""An engine that lives is not taken for dead; one that is gone leaves nothing that runs."""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from local_stack.embedded_postgres import EmbeddedPostgres, run_postgres
from tests.journeys.stack import Stack, a_journey_automation, running_stack, wait_until

DEAD_AFTER_S = 3
HELD_S = 20
ENDED = ("completed", "failed", "cancelled")
#: It notes itself, and how many runs of its execution it finds alive when it begins.
SCRIPT = """
import csv, os, time, uuid
from pathlib import Path
notes = Path(os.environ["SCRIPT_FOLDER"])
earlier = [int(path.suffix[1:]) for path in notes.glob("run.*")]
alive = [pid for pid in earlier if Path(f"/proc/{pid}").exists()]
(notes / f"run.{os.getpid()}").write_text(str(len(alive)))
time.sleep(float(os.environ.get("PARAM_SLEEP", "0")))
with open(Path(os.environ["OUTPUT_PATH"]) / "everybody.csv", "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["user_id", "first_name", "device_token"])
    for n in range(int(os.environ["PARAM_USERS"])):
        table.writerow([uuid.UUID(int=n + 1), f"Name {n}", f"token-{n}"])
"""
SETTINGS = {
    "PUSH_ENGINE_DEAD_AFTER_SECONDS": str(DEAD_AFTER_S),
    "PUSH_MAX_AUDIENCE_SIZE": "1000000",
    "PUSH_WEB_WORKERS": "1",
    "HELD_S": str(HELD_S),
}


@pytest.fixture
def stack(postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Stack]:
    with _running(postgres, tmp_path, engines=2) as running:
        yield running


def _running(postgres: EmbeddedPostgres, folder: Path, engines: int) -> Any:
    program = Path(__file__).with_name("held_engine.py")
    return running_stack(
        postgres, folder / "data", SETTINGS, engines=engines, engine_program=program
    )


def start(stack: Stack, **parameters: Any) -> str:
    (stack.folder / "scripts" / "users.py").write_text(SCRIPT)
    stack.ask("POST", "/api/automation/recipes", a_journey_automation("one", parameters=parameters))
    started: str = stack.ask("POST", "/api/executions", {"automationId": "one"})["id"]
    return started


def runs(stack: Stack) -> list[int]:
    """Return, of each run of the script, how many others it found alive."""
    noted = (stack.folder / "scripts").glob("run.*")
    return [int(path.read_text() or 0) for path in sorted(noted, key=os.path.getmtime)]


def find_worker(stack: Stack, program: str) -> tuple[Any, psutil.Process]:
    """Return the engine that has started this program, and the program's process."""

    def look() -> list[tuple[Any, psutil.Process]]:
        return [
            (engine, child)
            for engine in stack.engines
            for child in psutil.Process(engine.pid).children()
            if child.status() != psutil.STATUS_ZOMBIE and program in " ".join(child.cmdline())
        ]

    found: list[tuple[Any, psutil.Process]] = wait_until(look, bool, 60)
    return found[0]


def engine_log(stack: Stack) -> str:
    return (stack.folder / "push-blaster-engine.log").read_text()


def assert_once(stack: Stack, execution: dict[str, Any], users: int) -> None:
    assert execution["phase"] == "completed", execution["reason"]
    assert execution["pushes"][0]["funnel"]["sent"] == users
    assert "dead_worker_found" not in engine_log(stack)
    assert runs(stack) == [0]
    assert execution["repeatedSteps"] == 0


def test_an_engine_whose_interpreter_is_held_keeps_its_script(stack: Stack) -> None:
    started = start(stack, users=50, sleep=4)
    engine, _ = find_worker(stack, "script_launcher.py")

    engine.send_signal(signal.SIGUSR2)
    execution = stack.wait_for(started, ENDED, limit_s=60)

    assert_once(stack, execution, 50)


def test_a_database_that_restarts_makes_no_living_engine_dead(tmp_path: Path) -> None:
    with run_postgres(tmp_path / "postgres") as postgres, _running(postgres, tmp_path, 2) as stack:
        started = start(stack, users=50, sleep=15)
        find_worker(stack, "script_launcher.py")

        assert postgres.pid
        os.kill(postgres.pid, signal.SIGKILL)
        time.sleep(DEAD_AFTER_S + 2)
        postgres.restart_if_dead()
        wait_until(lambda: _is_well(stack), bool, 60)
        execution = stack.wait_for(started, ENDED, limit_s=60)

        assert execution["phase"] == "completed", execution["reason"]
        assert "dead_worker_found" not in engine_log(stack)
        assert runs(stack) == [0]


def _is_well(stack: Stack) -> bool:
    return stack.request("GET", "/health/ready").ok


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_second_attempt_begins_when_nothing_of_the_first_is_left(
    stack: Stack, how: signal.Signals
) -> None:
    started = start(stack, users=50, sleep=8)
    engine, launcher = find_worker(stack, "script_launcher.py")

    wait_until(lambda: runs(stack), bool, 30)
    os.kill(engine.pid, how)
    wait_until(lambda: runs(stack), lambda seen: len(seen) == 2, 30)
    assert not launcher.is_running() or launcher.status() == psutil.STATUS_ZOMBIE
    execution = stack.wait_for(started, ENDED, limit_s=60)
    os.kill(engine.pid, signal.SIGCONT)

    assert execution["phase"] == "completed", execution["reason"]
    assert runs(stack) == [0, 0], "the first run had ended before the second began"
    assert len(list((stack.folder / "executions" / started).glob("attempt-*"))) == 1
    assert execution["repeatedSteps"] == 1
    told = [line for line in stack.log(started) if line.startswith("Attempt 2 of the step")]
    assert re.search(r"generate_audience: the engine that ran attempt 1 is gone", told[0])
    page = stack.request("GET", f"/executions/{started}")
    assert "a step began again" in page.text


def test_the_process_of_a_large_audience_ends_with_its_engine(stack: Stack) -> None:
    started = start(stack, users=150_000)
    engine, preparing = find_worker(stack, "push_blaster.prepare")

    engine.kill()

    wait_until(preparing.is_running, lambda runs: not runs, 5)
    execution = stack.wait_for(started, ENDED, limit_s=120, every_s=0.5)
    assert execution["pushes"][0]["funnel"]["distinct"] == 150_000
    assert execution["repeatedSteps"] == 1
    assert runs(stack) == [0, 0]


def test_a_stop_ends_the_preparation_within_a_second(stack: Stack) -> None:
    started = start(stack, users=150_000)
    _, preparing = find_worker(stack, "push_blaster.prepare")
    shown = wait_until(
        lambda: stack.execution(started)["preparation"], lambda seen: seen and seen["rows"], 60
    )
    page = stack.request("GET", f"/executions/{started}").text

    receipt = stack.ask("POST", f"/api/executions/{started}/stop")
    answered_at = time.monotonic()
    wait_until(preparing.is_running, lambda runs: not runs, 5, every_s=0.02)
    took_s = time.monotonic() - answered_at

    assert took_s < 1.5, "a second is promised, and the machine may be busy"
    assert (receipt["execution"]["phase"], receipt["sent"]) == ("cancelled", 0)
    assert shown["stage"] in {"reading", "freezing", "checking", "forecasting"}
    assert "data-preparation" in page
    assert stack.execution(started)["preparation"] is None
    leftovers = (stack.folder / "executions" / started).rglob("*.jsonl")
    assert not list(leftovers) or stack.execution(started)["pushes"][0]["audienceSha256"] is None


def test_an_ended_process_of_a_preparation_is_started_again(stack: Stack) -> None:
    started = start(stack, users=100_000)
    _, preparing = find_worker(stack, "push_blaster.prepare")

    preparing.kill()
    execution = stack.wait_for(started, ENDED, limit_s=120, every_s=0.5)

    assert execution["phase"] == "completed", execution["reason"]
    assert "preparation_lost" in engine_log(stack)
    assert_once(stack, execution, 100_000)
