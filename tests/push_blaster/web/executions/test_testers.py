"""The page of an execution shows who its tests were meant for, and what each one got."""

import pytest

from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.domain.executions.modes import Mode
from tests.builders import NOON
from tests.page_reader import table_rows
from tests.people import ALICE, BOB, CAROL
from tests.push_blaster.bench import Bench
from tests.push_blaster.web.page_support import Visitor

PUSHES = [{"title": "Hello [[var:first_name]]", "body": "One"}, {"title": "Again", "body": "Two"}]


@pytest.fixture
def tested(bench: Bench) -> Bench:
    """The bench: Alice has an iPhone and Carol an Android phone, Bob has none."""
    phones = [
        Device("phone-a", ALICE, platform="ios"),
        Device("phone-c", CAROL, platform="android"),
    ]
    with bench.database.transaction() as connection:
        upsert_devices(connection, phones, NOON)
    return bench


def start_test(bench: Bench, mode: Mode = Mode.TEST_LIVE_SEND, **settings: object) -> str:
    return bench.run(bench.start(mode, pushes=PUSHES, settings=settings)).id


@pytest.mark.parametrize("who", ["viewer", "operator"])
def test_the_page_shows_who_got_which_texts_and_who_got_none_and_why(
    tested: Bench, request: pytest.FixtureRequest, who: str
) -> None:
    visitor: Visitor = request.getfixturevalue(who)
    named = [str(ALICE), str(BOB), str(CAROL), "nobody"]

    page = visitor.get(f"/executions/{start_test(tested, testUserIds=named)}")

    rows = {row[0]: row[1:] for row in table_rows(page) if len(row) == 5}
    assert rows[str(ALICE)][:2] == ["iOS · App, Firebase token", "Sent"]
    assert rows[str(CAROL)][:2] == ["Android · App, Firebase token", "Sent"]
    assert rows[str(BOB)] == ["—", "Without a device", "no living device token", "no message"]
    assert rows["nobody"][1:] == ["Nobody", "This is no user id (a UUID).", "no message"]
    assert page.count("<b>Hello Name 1</b>") == page.count("2 of 4 reached") == 2


def test_each_push_has_its_own_texts_in_the_answer_of_the_api(
    tested: Bench, viewer: Visitor
) -> None:
    execution_id = start_test(tested, testUserIds=[str(ALICE), str(BOB)])

    testers = viewer.client.get(f"/api/executions/{execution_id}").json["testers"]  # type: ignore[index]  # an object

    assert [(one["position"], one["userId"], one["title"], one["body"]) for one in testers] == [
        *((1, str(ALICE), "Hello Name 1", "One"), (1, str(BOB), None, None)),
        *((2, str(ALICE), "Again", "Two"), (2, str(BOB), None, None)),
    ]


@pytest.mark.parametrize("mode", [Mode.TEST_DRY_RUN, Mode.LIVE])
def test_tests_that_deliver_nothing_and_tests_before_a_live_send_show_their_texts_too(
    tested: Bench, viewer: Visitor, mode: Mode
) -> None:
    settings = {"testUserIds": [str(ALICE)], "dryRunFirst": True}

    page = viewer.get(f"/executions/{start_test(tested, mode, **settings)}")

    assert page.count("1 of 1 reached") == 2
    assert "Hello Name 1" in page
