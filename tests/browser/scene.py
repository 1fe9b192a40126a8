"""A busy day of the example: what the pages look like when everything happens at once."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final

import requests

from chassis.clock import utc_now
from tests.browser.pages import ask
from tests.journeys.stack import wait_until
from tests.local_stack.stack import LocalStack

#: A pace at which a send of the example takes minutes; nobody is held back on layer 1.
SLOWLY: Final = {"push": {"layerId": 1}, "settings": {"ratePerMinute": 120}, "window": 0}
#: Automations beside the example: what each changes of its first push and of its settings, how
#: many minutes its window is open, and the phase that its execution comes to.
CAST: Final[Mapping[str, Mapping[str, Any]]] = {
    "harvest-news": {"push": {"audienceName": "nobody"}, "window": 0, "phase": "failed"},
    "seed-swap": {**SLOWLY, "phase": "live_execution"},
    "watering-tips": {**SLOWLY, "phase": "live_execution"},
    "weekend-market": {"window": 30, "phase": "cancellation_window"},
    "frost-warning": {
        "settings": {"requireApproval": True},
        "window": 30,
        "phase": "cancellation_window",
    },
    "repeated-offer": {"window": 0, "phase": "completed"},
}
STOPPED: Final = "seed-swap"


def set_scene(stack: LocalStack) -> dict[str, str]:
    """Start all of the cast, and stop one; return the execution of each."""
    started = {name: start(stack, name) for name in CAST}
    for name, changes in CAST.items():
        wait_until(partial(_phase, stack, started[name]), changes["phase"].__eq__, 90)
    _post(stack, f"/api/executions/{started[STOPPED]}/stop", {"reason": "It shows last year's."})
    return started


def clear_scene(stack: LocalStack, started: Mapping[str, str]) -> None:
    """Stop what still runs of it."""
    for execution_id in started.values():
        if ask(stack, f"/api/executions/{execution_id}")["canStop"]:
            _post(stack, f"/api/executions/{execution_id}/stop", {})


def start(stack: LocalStack, name: str) -> str:
    """Make an automation of the cast, and start it; return the execution."""
    changes = CAST[name]
    example = ask(stack, "/api/automation/recipes/garden-activity")["data"]
    planned = utc_now() + timedelta(hours=3 * len(name) % 22 + 1)
    document = {
        **example,
        "id": name,
        "name": name.replace("-", " ").capitalize(),
        "schedule": {
            **example["schedule"],
            "startDate": f"{planned - timedelta(days=1):%Y-%m-%d}",
            "executionTime": f"{planned:%H:%M}",
        },
        "pushSequence": [{**example["pushSequence"][0], **changes.get("push", {})}],
        "settings": {**example["settings"], **changes.get("settings", {})},
    }
    if not ask(stack, f"/api/automation/recipes/{name}")["success"]:
        _post(stack, "/api/automation/recipes?acceptFindings=true", document)
    body = {"automationId": name, "cancellationWindowMinutes": changes["window"]}
    execution_id: str = _post(stack, "/api/executions", body)["id"]
    return execution_id


def _phase(stack: LocalStack, execution_id: str) -> Any:
    return ask(stack, f"/api/executions/{execution_id}")["phase"]


def _post(stack: LocalStack, path: str, body: Mapping[str, Any]) -> Any:
    headers = {"Authorization": f"Bearer {stack.token}"}
    answer = requests.post(stack.push_url + path, json=body, headers=headers, timeout=30)
    assert answer.ok, answer.text
    return answer.json()
