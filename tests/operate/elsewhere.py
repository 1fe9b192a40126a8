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

UNDER_WAY: Final = (
    "SELECT id FROM executions WHERE phase NOT IN"
    " ('completed', 'failed', 'cancelled', 'missed', 'skipped')"
)


def restore_elsewhere(night: Night) -> str:
    """Restore the first backup and start everything: what was under way ends, and sends nothing."""
    with _empty_site(night) as site:
        restored = site.run("push-backup", "restore", str(night.folder / "backups" / "first"))
        assert restored.code == 0, restored
        for program in ("cadence-service", "push-blaster"):
            migrated = site.run(program, "migrate")
            assert migrated.code == 0, migrated
        under_way = [id_ for (id_,) in site.stack.ledger(UNDER_WAY)]
        for kind in (Kind.CADENCE, Kind.WEB, Kind.ENGINE):
            site.start(kind, 0)
        site.wait_for_engines(1)
        wait_until(lambda: site.stack.ledger(UNDER_WAY), lambda rows: rows == [], SOON_S)
        assert [_resume(site, id_) for id_ in under_way] == [409] * len(under_way)
        return f"{len(under_way)} executions that were under way ended, and resume is refused"


def _resume(site: Site, id_: str) -> int:
    bearer = {"Authorization": f"Bearer {site.stack.environment['PUSH_ADMIN_TOKEN']}"}
    return site.stack.request("POST", f"/api/executions/{id_}/resume", **bearer).status_code


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
        "PUSH_EXPECTED_ENGINES": "1",
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
