"""The real processes, watched: counts over all workers, and one id from the engine to cadence."""

import json
import re
from pathlib import Path
from typing import Any

import requests

from local_stack.embedded_postgres import EmbeddedPostgres
from tests.journeys.stack import VIEWER, a_journey_automation, running_stack, wait_until

ALERTS = Path(__file__).parents[2] / "deploy" / "prometheus" / "alerts.yml"
PARTS = ("_bucket", "_count", "_sum")
AS_VIEWER = {"Authorization": f"Bearer {VIEWER}"}


def test_what_workers_count_is_added_up_and_an_execution_is_followed_through_the_logs(
    postgres: EmbeddedPostgres, place: Path
) -> None:
    with running_stack(postgres, place) as stack:
        stack.ask("POST", "/api/automation/recipes", a_journey_automation("watched"))
        for _ in range(30):
            requests.get(f"{stack.push_url}/api/scripts", headers=AS_VIEWER, timeout=10)
        started = stack.request("POST", "/api/executions", {"automationId": "watched"})
        execution_id = started.json()["id"]
        stack.wait_for(execution_id, ["completed"])

        seen = wait_until(lambda: _scrape(stack.push_url), lambda t: "completed" in t, 10)
        engine = _scrape(f"http://127.0.0.1:{stack.engine_ports[0]}")
        cadence = _scrape(stack.cadence_url, stack.environment["CADENCE_API_TOKEN"])

        assert 'push_executions_ended{phase="completed"} 1.0' in seen
        assert 'route="/api/scripts",status="200"} 30.0' in seen
        assert 'push_provider_outcomes_total{outcome="sent"} 50.0' in engine
        assert "push_cap_check_seconds_count 1.0" in engine
        types = re.findall(r"^# TYPE (\w+) (\w+)", seen + engine + cadence, re.MULTILINE)
        assert find_watched() <= {
            name + part for name, kind in types for part in (PARTS if kind == "histogram" else [""])
        }
        filters = [line for line in _log(place, "cadence-service-serve") if _is_filter(line)]
        assert [line["execution_id"] for line in filters] == [execution_id]
        assert filters[0]["service"] == "cadence"
        assert started.headers["X-Request-ID"] in {
            line.get("request_id") for line in _log(place, "push-blaster-serve")
        }


def find_watched() -> set[str]:
    """Return the metrics that the alerts of deploy/ watch."""
    rules = " ".join(re.findall("expr: (.*)", ALERTS.read_text()))
    return set(re.findall(r"\b(?:push|cadence|http)_[a-z_]+", rules))


def _scrape(url: str, token: str = VIEWER) -> str:
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.get(f"{url}/metrics", headers=headers, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.text


def _log(folder: Path, name: str) -> list[dict[str, Any]]:
    lines = (folder / f"{name}.log").read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def _is_filter(line: dict[str, Any]) -> bool:
    return bool(line["event"] == "request_answered" and line["path"] == "/filter-audience")
