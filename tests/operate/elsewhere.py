"""A restore on another machine: databases, a folder and processes of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from local_stack.processes import stop_processes
from tests.databases import by_tcp
from tests.journeys.stack import free_port, wait_until
from tests.operate.night import Night
from tests.operate.site import SOON_S, Kind, Site

RUNNING: Final = (
    "SELECT count(*) FROM executions WHERE phase NOT IN"
    " ('completed', 'failed', 'cancelled', 'missed', 'skipped')"
)


def restore_elsewhere(night: Night) -> str:
    """Restore the first backup, stop everything in it, and only then start an engine."""
    with _empty_site(night) as site:
        restored = site.run("push-backup", "restore", str(night.folder / "backups" / "first"))
        assert restored.code == 0, restored
        for program in ("cadence-service", "push-blaster"):
            migrated = site.run(program, "migrate")
            assert migrated.code == 0, migrated
        site.start(Kind.CADENCE, 0)
        site.start(Kind.WEB, 0)
        ((running,),) = site.stack.ledger(RUNNING)
        stopped = site.stack.request("POST", "/api/automation/emergency-stop", **_bearer(site))
        assert stopped.ok, stopped.text
        site.start(Kind.ENGINE, 0)
        site.wait_for_engines(1)
        wait_until(lambda: site.stack.ledger(RUNNING), lambda rows: rows == [(0,)], SOON_S)
        return f"{running} executions ran in the backup, and were stopped; {restored.last}"


def _bearer(site: Site) -> dict[str, str]:
    return {"Authorization": f"Bearer {site.stack.environment['PUSH_ADMIN_TOKEN']}"}


@contextmanager
def _empty_site(night: Night) -> Iterator[Site]:
    """Make empty databases and ports for one process of each kind; end the processes."""
    urls = [
        by_tcp(night.site.postgres.create_database(f"restored_{name}"))
        for name in ("push", "cadence")
    ]
    cadence, web = free_port(), free_port()
    folder = night.folder / "restored"
    folder.mkdir()
    places = {
        "PUSH_BLASTER_DATABASE_URL": urls[0],
        "PUSH_CADENCE_DATABASE_URL": urls[1],
        "PUSH_DATA_DIR": str(folder),
        "CADENCE_SERVICE_URL": f"http://127.0.0.1:{cadence}",
    }
    stack = replace(
        night.site.stack,
        folder=folder,
        push_url=f"http://127.0.0.1:{web}",
        database_url=urls[0],
        cadence_database_url=urls[1],
        cadence_ports=[cadence],
        engine_ports={0: free_port()},
        environment={**night.site.stack.environment, **places},
    )
    site = Site(stack, night.site.postgres, [web])
    try:
        yield site
    finally:
        stop_processes(list(site.running.values()), 10)
