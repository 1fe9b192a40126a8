"""The routes and pages by which a user is erased."""

import json
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

from click.testing import CliRunner
from flask.testing import FlaskClient

from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.rows import execute, fetch_values
from push_blaster.adapters.automations.automation_files import AutomationFiles
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.adapters.devices.erased_users import select_erased
from push_blaster.cli import main
from push_blaster.use_cases.users.erase_user import erase_users
from tests.erasures import find_in_tables
from tests.people import ALICE, BOB, CAROL
from tests.push_blaster.bench import Bench
from tests.push_blaster.settings import environ_for
from tests.push_blaster.web.page_support import Visitor

NOBODY = UUID(int=4711)


def register(database: Database, *users: UUID) -> None:
    with database.transaction() as connection:
        upsert_devices(connection, [Device(f"token of {u}", u) for u in users], utc_now())


def test_a_known_and_an_unknown_user_get_the_same_receipt_without_a_name(
    client: FlaskClient, database: Database
) -> None:
    register(database, ALICE)

    answers = [client.delete(f"/api/users/{user}") for user in (ALICE, NOBODY)]
    known, unknown = (answer.get_json() for answer in answers)
    followed = client.get(f"/api/erasures/{known['id']}")

    assert [answer.status_code for answer in answers] == [202, 202]
    assert known.keys() == {"id", "state", "askedAt", "endedAt", "waitsFor", "notes"}
    assert {**known, "id": 0, "askedAt": 0} == {**unknown, "id": 0, "askedAt": 0}
    assert followed.get_json() == known
    assert str(ALICE) not in json.dumps(known)


def test_the_page_and_the_answer_of_an_erased_user_say_so(
    client: FlaskClient, viewer: Visitor, bench: Bench
) -> None:
    erasure = client.delete(f"/api/users/{ALICE}").get_json()["id"]

    asked = client.get(f"/api/users/{ALICE}").get_json()
    page_before = viewer.get(f"/users/{ALICE}")
    bench.now = utc_now() + timedelta(minutes=1)
    erase_users(bench.context, AutomationFiles(bench.folder / "automations"))
    done = client.get(f"/api/users/{ALICE}").get_json()
    page = " ".join(viewer.get(f"/users/{ALICE}").split())

    assert asked["answer"].startswith("This user is being erased: no push goes to the user until")
    assert asked["erasureId"] == erasure
    assert f'href="/erasures/{erasure}"' in page_before
    assert done["answer"].startswith("This user was erased: what was known of the user is deleted")
    assert done["erasureId"] is None
    assert done["answer"] in page
    assert "opted out of all pushes, by the erasure of the user" in page


def test_only_an_admin_erases_and_the_audit_log_has_a_hash(
    client: FlaskClient, database: Database
) -> None:
    # The audit log keeps what other tests did, so the user is one that only this test has.
    user = uuid4()
    refused = client.delete(f"/api/users/{user}", headers={"Authorization": "Bearer operator"})

    client.delete(f"/api/users/{str(user).upper()}")

    assert refused.status_code == 403
    assert "audit_log" not in find_in_tables(database, str(user))


def test_an_erasure_that_does_not_exist_is_not_found(client: FlaskClient) -> None:
    assert client.get(f"/api/erasures/{NOBODY}").status_code == 404
    assert client.get(f"/erasures/{NOBODY}").status_code == 404


def test_the_page_of_a_user_leads_an_admin_to_the_erasure(
    admin: Visitor, operator: Visitor, database: Database
) -> None:
    register(database, ALICE)
    path = f"/users/{ALICE}"

    offered, hidden = admin.get(path), operator.get(path)
    question = admin.get(f"{path}/erase")

    assert f'href="{path}/erase"' in offered
    assert f'href="{path}/erase"' not in hidden
    assert f'href="{path}"' in question, "back to the user"


def test_the_page_erases_who_was_typed_and_nobody_else(
    admin: Visitor, operator: Visitor, database: Database
) -> None:
    user = uuid4()
    path = f"/users/{user}/erase"
    page = admin.get(path)

    refused, empty = admin.post(path, userId=str(BOB)), admin.post(path)
    hidden = operator.client.get(path)
    asked = admin.post(path, userId=f" {str(user).upper()} ")
    shown = operator.get(asked.headers["Location"])

    assert "Erase a user?" in page
    assert (refused.status_code, empty.status_code, hidden.status_code) == (400, 400, 403)
    assert f"Type the id of this user to erase the user: {user}" in refused.text
    assert asked.status_code == 303
    assert "The user gets no push any more." in shown
    assert str(user) not in shown
    assert find_in_tables(database, str(user)) == {"erasures"}


def test_a_backup_brings_nobody_back_if_the_erasures_are_repeated(
    database: Database, client: FlaskClient, push_url: str, tmp_path: Path
) -> None:
    for user in (ALICE, BOB):
        client.delete(f"/api/users/{user}")
    command = CliRunner(env=environ_for(push_url, tmp_path))
    saved = tmp_path / "erasures.txt"
    saved.write_text(command.invoke(main, ["erasures", "save"]).stdout)
    with database.transaction() as connection:
        execute(connection, "DELETE FROM erasures")
        execute(connection, "DELETE FROM erased_users")
    register(database, ALICE, CAROL)
    frozen = tmp_path / "executions" / "news@1" / "audience-1.jsonl"
    frozen.parent.mkdir(parents=True)
    frozen.write_text(json.dumps({"userId": str(BOB), "variables": {}}) + "\n")

    done = [command.invoke(main, ["erasures", "repeat", str(saved)]) for _ in range(2)]

    assert [one.exit_code for one in done] == [0, 0], done[0].output
    assert "2 erasures; 2 of these users are known" in done[1].output
    assert str(ALICE) not in saved.read_text()
    with database.transaction() as connection:
        under_way = select_erased(connection, [ALICE, BOB, CAROL])
        jobs = fetch_values(connection, "SELECT user_id FROM erasures ORDER BY user_id")
    assert under_way == {ALICE, BOB}
    assert jobs == [ALICE, BOB]


def test_a_file_that_is_none_of_erasures_is_refused(push_url: str, tmp_path: Path) -> None:
    odd = tmp_path / "erasures.txt"
    odd.write_text("no hash")

    done = CliRunner(env=environ_for(push_url, tmp_path)).invoke(
        main, ["erasures", "repeat", str(odd)]
    )

    assert done.exit_code == 1
    assert "erasures.txt is no file of `erasures save`" in done.output
