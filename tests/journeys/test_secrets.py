"""What the processes write while they work holds no secret."""

from pathlib import Path

import requests

from local_stack.embedded_postgres import EmbeddedPostgres
from tests.journeys.stack import (
    OPERATOR,
    TOKEN,
    VIEWER,
    a_journey_automation,
    running_stack,
    user,
)

DEVICE = "a-device-that-nobody-may-know"
LONG_DEVICE = "d" * 163
GUESS = "somebody-guessed-this"


def test_no_token_is_ever_in_the_logs(postgres: EmbeddedPostgres, place: Path) -> None:
    with running_stack(postgres, place) as stack:
        made = stack.ask("POST", "/api/tokens", {"name": "job", "role": "operator"})
        rotated = stack.ask("POST", "/api/tokens/job/rotate", {"overlapMinutes": 5})
        secrets = {made["token"], rotated["token"]}
        for token in (*secrets, GUESS, TOKEN, VIEWER):
            stack.request("GET", "/api/executions", Authorization=f"Bearer {token}")
            stack.request("GET", f"/api/executions?limit=none&token={token}")
            requests.post(f"{stack.push_url}/sign-in", data={"token": token}, timeout=10)
        stack.ask("POST", "/api/devices", {"userId": user(1), "token": DEVICE}, OPERATOR)
        stack.request("DELETE", f"/api/devices/{DEVICE}")
        stack.request("PATCH", f"/api/devices/{LONG_DEVICE}")
        stack.ask("POST", "/api/automation/recipes", a_journey_automation("secrets"))
        started = stack.ask("POST", "/api/executions", {"automationId": "secrets"}, made["token"])
        stack.wait_for(started["id"], ["completed"])

    logs = {path.name: path.read_text() for path in stack.folder.glob("*.log")}
    secrets |= {TOKEN, VIEWER, OPERATOR, "journey-cadence-token", DEVICE, LONG_DEVICE, GUESS}
    leaks = [(name, secret) for name, text in logs.items() for secret in secrets if secret in text]
    assert any("engine_started" in text for text in logs.values())
    assert leaks == []
