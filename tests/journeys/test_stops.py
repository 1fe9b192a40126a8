"""An emergency stop that cannot be finished keeps no other duty of the engines waiting."""

from pathlib import Path

import psycopg2

from local_stack.embedded_postgres import EmbeddedPostgres
from tests.journeys.stack import a_journey_automation, running_stack, wait_until

#: An engine that maintenance forgets, because it has been gone for hours.
GONE = """
    INSERT INTO engines (id, started_at, seen_at, alive_at)
    VALUES ('gone:1', now() - interval '3 hours', now() - interval '2 hours',
            now() - interval '2 hours')
"""


def test_maintenance_goes_on_though_an_automation_cannot_be_paused(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    with running_stack(postgres, tmp_path / "data") as stack:
        automation = a_journey_automation("one", status="active", isActive=True)
        stack.ask("POST", "/api/automation/recipes", automation)
        lock = stack.folder / "automations" / ".lock"
        lock.unlink()
        lock.mkdir()

        stopped = stack.request("POST", "/api/automation/emergency-stop")
        assert stopped.status_code == 200
        assert "1 of them are not paused yet" in stopped.json()["message"]
        with psycopg2.connect(stack.database_url) as connection:
            connection.cursor().execute(GONE)
        connection.close()

        sql = "SELECT id FROM engines WHERE id = 'gone:1'"
        wait_until(lambda: stack.ledger(sql), lambda found: not found, 20)
        unfinished = "SELECT reason FROM emergency_stops WHERE finished_at IS NULL"
        assert stack.ledger(unfinished), "it is tried again and again"
