"""A backup from before an erasure brings the user back, until the erasures are repeated."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from click.testing import CliRunner

from cadence_service.app import create_app
from chassis.clock import utc_now
from chassis.postgres import BulkDatabase, Database
from chassis.rows import execute, fetch_values
from push_backup.backup import save
from push_backup.places import Places
from push_backup.restore import restore
from push_blaster.adapters.audiences.script_folder import ScriptFolder
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.cadence.cadence_client import CadenceClient
from push_blaster.adapters.delivery.pacing import TokenBucket
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.adapters.transports.file_transport import FileTransport
from push_blaster.cli import main
from push_blaster.domain.executions.limits import Limits
from push_blaster.use_cases.context import SendContext
from push_blaster.use_cases.users.erase_user import ask_for_erasure, erase_users
from tests.cadence_service.settings import CADENCE_TOKEN, cadence_settings
from tests.erasures import find_in_files, find_in_tables
from tests.people import ALICE, BOB
from tests.push_blaster.settings import environ_for
from tests.serving import serving

TOKEN = "token-of-alice"


def test_erasures_are_repeated_after_a_backup_from_before_them_is_restored(
    kept: Places, fresh: Places, tmp_path: Path
) -> None:
    _register(kept)
    save(kept, tmp_path / "backup")
    with _engine(kept) as engine:
        ask_for_erasure(engine.database, ALICE, engine.clock())
        _erase(engine)
        receipt = _command(kept, "erasures", "save")
    (tmp_path / "erasures.txt").write_text(receipt)
    assert _find(kept) == set()

    restore(tmp_path / "backup", fresh)
    with _engine(fresh) as engine:
        came_back = _find(fresh)
        said = _command(fresh, "erasures", "repeat", str(tmp_path / "erasures.txt"))
        _erase(engine)
        again = _command(fresh, "erasures", "save")

    assert {"devices", "user_notifications", "executions"} <= came_back
    assert "1 erasures; 1 of these users are known and are erased again." in said
    assert _find(fresh) == set()
    assert _find(fresh, str(BOB)) == {"devices", "user_notifications", "executions"}
    assert again == receipt


def _register(places: Places) -> None:
    """Let both services and a frozen audience know two users."""
    users = [ALICE, BOB]
    with _push_database(places) as database, database.transaction() as connection:
        upsert_devices(connection, [Device(TOKEN, ALICE), Device("other-token", BOB)], utc_now())
    history = BulkDatabase(places.databases["cadence"], max_connections=1)
    with history.transaction() as connection:
        sql = "INSERT INTO user_notifications (user_id, layer_id, sent_at) VALUES (%s, 3, %s)"
        for user in users:
            execute(connection, sql, (user, utc_now()))
    history.close()
    audience = places.data_folder / "executions" / "news@1" / "audience-1.jsonl"
    audience.parent.mkdir(parents=True)
    rows = (json.dumps({"userId": str(user), "variables": {}}) + "\n" for user in users)
    audience.write_text("".join(rows))


@contextmanager
def _push_database(places: Places) -> Iterator[Database]:
    database = Database(places.databases["push_blaster"], max_connections=4)
    yield database
    database.close()


@contextmanager
def _engine(places: Places) -> Iterator[SendContext]:
    """Yield what an engine has, beside a cadence service over the other database."""
    folder = places.data_folder
    app = create_app(cadence_settings(places.databases["cadence"], database_pool_size=2))
    with _push_database(places) as database, serving(app) as url:
        yield SendContext(
            database=database,
            transport=FileTransport(folder / "messages.jsonl"),
            cadence=CadenceClient(url, CADENCE_TOKEN),
            scripts=ScriptFolder(folder / "scripts"),
            data_folder=folder,
            pacer=TokenBucket(1),
            limits=Limits(),
            clock=lambda: utc_now() + timedelta(minutes=1),
            is_shutting_down=lambda: False,
        )


def _erase(engine: SendContext) -> None:
    erase_users(engine, AutomationFiles(engine.data_folder / "automations"))
    with engine.database.transaction() as connection:
        assert set(fetch_values(connection, "SELECT stage FROM erasures")) == {"done"}


def _command(places: Places, *words: str) -> str:
    environ = environ_for(places.databases["push_blaster"], places.data_folder)
    done = CliRunner(env=environ).invoke(main, list(words))
    assert done.exit_code == 0, done.output
    return done.stdout


def _find(places: Places, *texts: str) -> set[str]:
    """Return the tables of both databases and the folders that know a user."""
    wanted = texts or (str(ALICE), TOKEN)
    history = BulkDatabase(places.databases["cadence"], max_connections=1)
    with _push_database(places) as database:
        found = find_in_tables(database, *wanted) | find_in_tables(history, *wanted)
    history.close()
    return found | find_in_files(places.data_folder, *wanted)
