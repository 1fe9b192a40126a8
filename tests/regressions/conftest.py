"""Both services as the regressions use them: the bench, the web, and cadence."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.postgres import BulkDatabase
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.use_cases.schedule.open_executions import Clock
from tests.cadence_service.settings import CADENCE_TOKEN
from tests.journeys.stack import SCRIPT
from tests.push_blaster.conftest import app, client, database, push_url
from tests.push_blaster.use_cases.conftest import Bench, an_automation_document, bench

__all__ = ["app", "bench", "client", "database", "push_url"]

RECIPES = "/api/automation/recipes"

#: The journeys' script, which also notes each of its runs beside itself.
COUNTING_SCRIPT = f"""
import os
with open(os.path.join(os.environ["SCRIPT_FOLDER"], "runs.txt"), "a") as runs:
    runs.write(os.environ["EXECUTION_ID"] + "\\n")
{SCRIPT}
"""


@pytest.fixture
def cadence(cadence_app: Flask, cadence_database: BulkDatabase) -> FlaskClient:
    client = cadence_app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {CADENCE_TOKEN}"
    return client


def create(client: FlaskClient, **changes: Any) -> dict[str, Any]:
    """Create an automation over the bench's script, by HTTP."""
    response = client.post(RECIPES, json=an_automation_document(**changes))
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


def paths_of(app: Flask, method: str, otherwise: str = "x", **values: str) -> list[str]:
    """Return a path for every route that knows `method`, with `values` for its variables."""

    def fill(variable: re.Match[str]) -> str:
        choice, name = variable.groups()
        return choice or values.get(name, otherwise)

    rules = [rule.rule for rule in app.url_map.iter_rules() if method in (rule.methods or ())]
    return sorted({re.sub(r"<(?:any\((\w+)[^>]*\):)?(?:\w+:)?(\w+)>", fill, r) for r in rules})
