"""Automations and templates that are made over HTTP."""

import json
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from tests.builders import a_document

RECIPES = "/api/automation/recipes"


def create(client: FlaskClient, **changes: Any) -> dict[str, Any]:
    """Create an automation, even if it would surely fail."""
    response = client.post(f"{RECIPES}?acceptFindings=true", json=a_document(**changes))
    assert response.status_code == 201, response.json
    data: dict[str, Any] = response.get_json()["data"]
    return data


def on_disk(folder: Path, automation_id: str = "news") -> dict[str, Any]:
    text = (folder / "automations" / f"{automation_id}.json").read_text()
    document: dict[str, Any] = json.loads(text)
    return document


def a_template(**changes: Any) -> dict[str, Any]:
    return {
        "id": "spring",
        "name": "Spring",
        "variables": [{"name": "city", "type": "string", "required": True}],
        "defaultSchedule": {"timezone": "UTC", "frequency": "daily", "executionTime": "12:30"},
        "pushTemplates": [
            {"titleTemplate": "Spring in {{city}}", "bodyTemplate": "Hi [[var:first_name|you]]"}
        ],
        **changes,
    }
