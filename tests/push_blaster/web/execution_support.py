"""Executions that are started and looked at over HTTP."""

from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.postgres import Database
from push_blaster.adapters.executions.execution_view import select_execution
from push_blaster.adapters.executions.violation_table import insert_violation
from push_blaster.domain.executions.safeguards import Severity, Violation, ViolationType

CONTROL = "/api/automation/control"
DAILY = {"timezone": "UTC", "frequency": "daily", "executionTime": "12:30", "leadTimeMinutes": 60}


def started(client: FlaskClient, automation_id: str = "news") -> str:
    response = client.post("/api/executions", json={"automationId": automation_id})
    assert response.status_code == 202, response.json
    execution_id: str = response.get_json()["id"]
    return execution_id


def make_live(database: Database, execution_id: str) -> None:
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE executions SET phase = 'live_execution' WHERE id = %s", (execution_id,)
        )


def phase(client: FlaskClient, execution_id: str) -> str:
    found: str = client.get(f"/api/executions/{execution_id}").get_json()["phase"]
    return found


def violate(database: Database, execution_id: str, severity: Severity) -> None:
    kind = {
        Severity.CRITICAL: ViolationType.AUDIENCE_EMPTY,
        Severity.WARNING: ViolationType.AUDIENCE_DRIFT,
    }[severity]
    with database.transaction() as connection:
        execution = select_execution(connection, execution_id)
        violation = Violation(kind, severity, "Odd.")
        assert insert_violation(connection, execution, violation, utc_now())
        assert not insert_violation(connection, execution, violation, utc_now())
