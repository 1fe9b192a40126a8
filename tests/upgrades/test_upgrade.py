"""An upgrade from version 0.1.0: its database and data folder are taken as they are.

The version before runs its own code, from a worktree of its commit: real processes that share our
interpreter and its libraries. They are stopped while executions run, and ours end these executions.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from local_stack.embedded_postgres import EmbeddedPostgres
from tests.journeys.stack import Stack, a_journey_automation, running_stack, user, wait_until

ROOT = Path(__file__).parents[2]
#: 0.1.0 as it was before the code moved into rooms.
BEFORE = "3687813e4c3a700638398311a387c7aca5e783b4"
USERS = 400
FIRST = {"sending": 1_001, "waiting": 5_001}
#: 200 messages a second in small batches: a send lasts long enough to be stopped in.
SETTINGS = {"PUSH_RATE_PER_MINUTE": "12000", "PUSH_BATCH_SIZE": "50", "PUSH_WEB_WORKERS": "1"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A worktree of the version before."""
    folder = tmp_path_factory.mktemp("version before") / "tree"
    if _git("cat-file", "-e", f"{BEFORE}^{{commit}}").returncode != 0:
        pytest.skip(f"not run: the history is shallow, and commit {BEFORE[:7]} is not in it")
    added = _git("worktree", "add", "--quiet", "--detach", str(folder), BEFORE)
    assert added.returncode == 0, added.stderr
    yield folder
    _git("worktree", "remove", "--force", str(folder))


def _git(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "-C", ROOT, *command], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def stack(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory, tree: Path
) -> Iterator[Stack]:
    """The whole system of the version before."""
    folder = tmp_path_factory.mktemp("upgrade") / "data"
    settings = {**SETTINGS, "PYTHONPATH": f"{tree / 'services'}:{tree / 'shared'}"}
    with running_stack(postgres, folder, settings, migrates=True) as running:
        yield running


def test_running_executions_end_after_an_upgrade_with_nobody_lost_or_doubled(
    stack: Stack, tree: Path
) -> None:
    assert _finds_code_in(stack, tree)
    sending = _start(stack, "sending", window_minutes=1 / 60)
    waiting = _start(stack, "waiting", window_minutes=0.25)
    stack.wait_for(waiting, ["cancellation_window"])
    wait_until(lambda: len(_sent(stack, "sending")), lambda sent: sent >= USERS / 3, 60)

    stack.stop(limit_s=60)  # nothing is cut off in mid-send
    sent_before = len(_sent(stack, "sending"))
    kept = _read_files(stack)
    del stack.environment["PYTHONPATH"]
    assert not _finds_code_in(stack, tree)
    stack.migrate()
    stack.start(engines=1)
    for execution_id in (sending, waiting):
        ended = stack.wait_for(execution_id, ["completed", "failed", "cancelled"], limit_s=120)
        assert (ended["phase"], ended["reason"]) == ("completed", None)
        assert [push["funnel"]["sent"] for push in ended["pushes"]] == [USERS, USERS]

    assert sent_before < 2 * USERS, "the upgrade came in the middle of the send"
    for automation_id in FIRST:
        _check_that_everybody_got_each_push_once(stack, automation_id)
    assert {path: read for path, read in _read_files(stack).items() if path in kept} == kept


def _finds_code_in(stack: Stack, tree: Path) -> bool:
    """Return whether the stack's processes run the code of `tree`."""
    command = [sys.executable, "-c", "import push_blaster; print(push_blaster.__file__)"]
    found = subprocess.run(
        command, env=stack.environment, capture_output=True, text=True, check=True
    )
    return str(tree) in found.stdout


def _start(stack: Stack, automation_id: str, window_minutes: float) -> str:
    automation = a_journey_automation(
        automation_id,
        parameters={"first": FIRST[automation_id], "users": USERS},
        pushes=[{}, {"layerId": 2}],
        settings={
            "testUserIds": [],
            "dryRunFirst": False,
            "cancellationWindowMinutes": window_minutes,
            "safeguards": {"requireTestFirst": False},
        },
    )
    stack.ask("POST", "/api/automation/recipes", automation)
    return str(stack.ask("POST", "/api/executions", {"automationId": automation_id})["id"])


def _sent(stack: Stack, automation_id: str) -> list[dict[str, Any]]:
    first = FIRST[automation_id]
    users = {user(number) for number in range(first, first + USERS)}
    return [message for message in stack.messages() if message["userId"] in users]


def _read_files(stack: Stack) -> dict[str, str]:
    """Return a digest of every automation and every frozen audience."""
    files = [*stack.folder.glob("automations/*.json"), *stack.folder.glob("executions/**/*.jsonl")]
    assert len(files) >= 4, files
    return {str(file): sha256(file.read_bytes()).hexdigest() for file in files}


def _check_that_everybody_got_each_push_once(stack: Stack, automation_id: str) -> None:
    first = FIRST[automation_id]
    sent = Counter((m["userId"], m["displayTag"]) for m in _sent(stack, automation_id))
    assert set(sent.values()) == {1}, "somebody got a push twice"
    pushes = Counter(user_id for user_id, _ in sent)
    assert pushes == {user(n): 2 for n in range(first, first + USERS)}, "somebody lost a push"
    counted = wait_until(
        lambda: stack.history(
            "SELECT layer_id, count(*), count(DISTINCT user_id) FROM user_notifications"
            " WHERE user_id BETWEEN %s AND %s GROUP BY layer_id ORDER BY layer_id",
            user(first),
            user(first + USERS - 1),
        ),
        lambda counted: len(counted) == 2 and counted[0][1] >= USERS,
        30,
    )
    assert counted == [(2, USERS, USERS), (3, USERS, USERS)]
