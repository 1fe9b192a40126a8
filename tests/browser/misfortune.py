"""A bad day of the example: odd names, broken files, a script that fails, cadence that is away."""

import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import requests

from tests.browser.pages import ask
from tests.journeys.stack import wait_until
from tests.local_stack.stack import LocalStack

#: How many automations there are beside the odd ones.
MANY: Final = 1_000
#: What people and machines call things: the texts that layouts break on.
ODD_NAMES: Final[Mapping[str, str]] = {
    "odd-long": "W" * 255,
    "odd-words": " ".join(["Seventeen garden gnomes"] * 11)[:255],
    "odd-emoji": "🌱🌻 Sale 👩‍👩‍👧‍👦 🇦🇹 !!!",
    "odd-right-to-left": "عرض الربيع للحدائق – מבצע אביב לגינה",
    "odd-markup": '<b>Bold</b> & "quoted" \'; DROP TABLE pushes',
}
_FAILS: Final = """# description: A script that fails
# audience nobody: Nobody
import sys

print("reading the table", file=sys.stderr)
raise ValueError("column 'plant' is missing: " + "x" * 400)
"""


def cause_misfortune(stack: LocalStack) -> list[str]:
    """Fill the stack with what goes wrong; return the pages that show it."""
    example = ask(stack, "/api/automation/recipes/garden-activity")["data"]
    (stack.folder / "scripts" / "fails.py").write_text(_FAILS)
    save_named(stack, ODD_NAMES)
    criteria = {**example["audienceCriteria"], "customScript": {"scriptId": "fails"}}
    save_named(stack, {"fails": "A script that fails"}, audienceCriteria=criteria)
    folder = stack.folder / "automations"
    (folder / "broken.json").write_text('{"id": "broken", "name": ')
    many = {f"many-{n:04}": f"Automation number {n}" for n in range(MANY)}
    for automation_id, name in many.items():
        draft = {**example, "id": automation_id, "name": name, "status": "draft"}
        (folder / f"{automation_id}.json").write_text(json.dumps({**draft, "isActive": False}))
    wait_until(partial(_list, stack), lambda found: len(found) > MANY, 60)
    started = [_run(stack, name) for name in (*ODD_NAMES, "fails")]
    pages = [f"/automations/{name}" for name in ODD_NAMES]
    pages += [f"/automations/{name}/edit" for name in ODD_NAMES]
    return [*pages, *(f"/executions/{execution_id}" for execution_id in started)]


@contextmanager
def without_cadence(stack: LocalStack) -> Iterator[None]:
    """Let the processes of the cadence service answer nothing for a while."""
    processes = stack.find("cadence-service", "serve")
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


def save_named(stack: LocalStack, names: Mapping[str, str], **changes: object) -> None:
    """Save the example's automation under each of these ids and names."""
    example = ask(stack, "/api/automation/recipes/garden-activity")["data"]
    for automation_id, name in names.items():
        first = {**example["pushSequence"][0], "title": name, "body": name * 3}
        document = {**example, "id": automation_id, "name": name, "description": name}
        document |= {"pushSequence": [first], **changes}
        _post(stack, "/api/automation/recipes?acceptFindings=true", document)


def _list(stack: LocalStack) -> list[Any]:
    found: list[Any] = ask(stack, "/api/automation/recipes")["data"]
    return found


def _run(stack: LocalStack, automation_id: str) -> str:
    body = {"automationId": automation_id, "cancellationWindowMinutes": 0}
    execution_id: str = _post(stack, "/api/executions", body)["id"]
    return execution_id


def _post(stack: LocalStack, path: str, body: Mapping[str, Any]) -> Any:
    headers = {"Authorization": f"Bearer {stack.token}"}
    answer = requests.post(stack.push_url + path, json=body, headers=headers, timeout=60)
    assert answer.ok, answer.text
    return answer.json()
