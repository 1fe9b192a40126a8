"""Numbers and dates of a message are written as its user's language does."""

import pytest

from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.use_cases.audiences.preview_pushes import preview_pushes
from tests.builders import NOON
from tests.people import ALICE, BOB, CAROL
from tests.push_blaster.bench import Bench, messages

BODY = "[[if:offers]][[number:offers]] offers until [[date:until]][[else]]Look[[end]]"
ROWS = {
    ALICE: (",1234.5,2026-12-24", "1.234,5 offers until 24. Dezember 2026"),
    BOB: ("en-GB,1234.5,2026-12-24", "1,234.5 offers until 24 December 2026"),
    CAROL: (",,", "Look"),
}


@pytest.fixture
def bench(bench: Bench) -> Bench:
    rows = "".join(f"{user},{cells}\n" for user, (cells, _) in ROWS.items())
    csv = f"user_id,Language,offers,until\n{rows}"
    bench.write_script(
        f"import os\nopen(os.environ['OUTPUT_PATH'] + '/all.csv', 'w').write({csv!r})"
    )
    devices = [Device(f"ok-{user}", user, language="de") for user in ROWS]
    with bench.database.transaction() as connection:
        upsert_devices(connection, devices, NOON)
    return bench


def test_the_column_counts_then_the_device_and_the_condition_by_user(bench: Bench) -> None:
    execution = bench.run(bench.start(pushes=[{"title": "News", "body": BODY}]))

    (preview,) = preview_pushes(bench.web, execution.automation, list(ROWS), 10, bench.now)
    found = {message["userId"]: message["body"] for message in messages(bench)}
    assert found == {str(user): text for user, (_, text) in ROWS.items()}
    previewed = {one.user_id: one.texts.body for one in preview.messages if one.texts}
    assert previewed == {user: text for user, (_, text) in ROWS.items()}
