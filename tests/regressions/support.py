"""What the regressions do to both services."""

from datetime import datetime, timedelta
from typing import Any

from flask.testing import FlaskClient

from chassis.clock import utc_now
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.use_cases.schedule.open_executions import Clock
from tests.push_blaster.bench import Bench, an_automation_document
from tests.push_blaster.web.recipes import RECIPES


def create(client: FlaskClient, **changes: Any) -> dict[str, Any]:
    """Create an automation over the bench's script, which the web does not have, by HTTP."""
    response = client.post(f"{RECIPES}?acceptFindings=true", json=an_automation_document(**changes))
    assert response.status_code == 201, response.json
    data: dict[str, Any] = response.get_json()["data"]
    return data


def daily_in(minutes: float, **changes: Any) -> dict[str, Any]:
    """Return a daily schedule that sends so many minutes from now, and has begun already."""
    at = utc_now() + timedelta(minutes=minutes)
    time = at.strftime("%H:%M:%S")
    lead = max(minutes + 1, 30)
    schedule = {"timezone": "UTC", "frequency": "daily", "executionTime": time}
    return {**schedule, "leadTimeMinutes": lead, **changes}


def tick_files(bench: Bench, at: datetime | None = None) -> list[str]:
    """Let a clock that has just started look at the automations' files; return what it opened."""
    automations = AutomationFiles(bench.folder / "automations").read_all()
    return Clock(bench.database).tick(automations, at or bench.now)


def runs(bench: Bench) -> list[str]:
    """Return the execution of each run of a COUNTING_SCRIPT."""
    return (bench.folder / "scripts" / "runs.txt").read_text().splitlines()
