"""The users who get a test: those who are named; if nobody is named, those of the TEST rows."""

from uuid import UUID

import pytest

from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.domain.executions.modes import Mode
from push_blaster.domain.executions.phase import Phase
from tests.builders import NOON
from tests.people import ALICE, BOB
from tests.push_blaster.bench import Bench, messages
from tests.scripts import a_script

STRANGER = UUID(int=99)
SCRIPT = "\n".join(
    (
        a_script(f"{UUID(int=1)},Ann", header="user_id,first_name"),
        a_script(f"{STRANGER},Sam", header="user_id,first_name").replace("all.csv", "all_TEST.csv"),
    )
)


@pytest.fixture
def tested(bench: Bench) -> Bench:
    """The bench: its script has a TEST row of a stranger, who has a phone, as Alice has."""
    bench.write_script(SCRIPT)
    phones = [Device("phone-a", ALICE), Device("phone-s", STRANGER)]
    with bench.database.transaction() as connection:
        upsert_devices(connection, phones, NOON)
    return bench


def receivers(bench: Bench) -> set[str]:
    return {message["userId"] for message in messages(bench)}


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        (["nobody"], "no test user that is named is a user id (a UUID)"),
        (["nobody", str(BOB)], "no living device token"),
        ([str(BOB)], "no living device token"),
        ([""], "no test user that is named is a user id (a UUID)"),
    ],
)
@pytest.mark.parametrize("mode", [Mode.TEST_LIVE_SEND, Mode.LIVE])
def test_nobody_stands_in_for_a_test_user_who_cannot_be_reached(
    tested: Bench, mode: Mode, named: list[str], reason: str
) -> None:
    settings = {"testUserIds": named, "safeguards": {"requireTestFirst": True}}

    ended = tested.run(tested.start(mode, settings=settings))

    assert receivers(tested) == set()
    assert ended.phase is Phase.FAILED
    assert reason in (ended.reason or "")


def test_who_was_reached_who_was_not_and_what_was_sent_is_told(tested: Bench) -> None:
    settings = {"testUserIds": [str(ALICE), str(BOB), "nobody"]}

    ended = tested.run(tested.start(Mode.TEST_LIVE_SEND, settings=settings))

    log = tested.log(ended.id)
    assert receivers(tested) == {str(ALICE)}
    assert f"test sent to {ALICE}. Text: " in log
    assert f"test not sent to {BOB}: " in log
    assert "'nobody' is no user id" in log


def test_the_test_rows_get_the_test_if_nobody_is_named(tested: Bench) -> None:
    ended = tested.run(tested.start(Mode.TEST_LIVE_SEND, settings={"testUserIds": []}))

    assert ended.phase is Phase.COMPLETED
    assert receivers(tested) == {str(STRANGER)}
