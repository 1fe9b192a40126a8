"""One execution from its start to its end, step by step, at instants that the test sets."""

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from chassis.postgres import Database
from push_blaster.adapters.delivery.delivery_ledger import claim_users, select_states
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.adapters.transports.file_transport import FileTransport
from push_blaster.domain.delivery.deep_link import LinkPolicy
from push_blaster.domain.delivery.ledger import LedgerPage
from push_blaster.domain.executions.execution import PushStatus
from push_blaster.domain.executions.limits import Limits
from push_blaster.domain.executions.phase import Phase
from push_blaster.use_cases.cadence.track_sends import track_sends
from push_blaster.use_cases.delivery.close_batches import close_batches
from push_blaster.use_cases.executions.stop_execution import stop_execution
from tests.builders import NOON
from tests.people import ALICE, BOB
from tests.push_blaster.bench import Bench, messages
from tests.push_blaster.cadence_support import AWAY, history
from tests.scripts import a_script

MINUTE = timedelta(minutes=1)


def test_a_window_is_whole_and_live_waits_for_its_end(bench: Bench) -> None:
    execution_id = bench.start(settings={"cancellationWindowMinutes": 20})
    bench.work()

    assert bench.execution(execution_id).phase is Phase.CANCELLATION_WINDOW
    assert bench.execution(execution_id).live_at == NOON + 20 * MINUTE
    bench.now = NOON + 20 * MINUTE - timedelta(milliseconds=1)
    bench.work()
    assert messages(bench) == []
    bench.now = NOON + 20 * MINUTE
    assert bench.run(execution_id).phase is Phase.COMPLETED
    assert len(messages(bench)) == 10


def test_a_sequence_keeps_its_delays(bench: Bench) -> None:
    pushes = [{}, {"layerId": 1, "timing": {"delayAfterPrevious": 45}}]
    execution_id = bench.start(pushes=pushes)
    bench.work()
    bench.now += timedelta(seconds=1)
    bench.work()

    assert [p.due_at for p in bench.execution(execution_id).pushes] == [NOON, NOON + 45 * MINUTE]
    bench.now = NOON + 45 * MINUTE - timedelta(seconds=1)
    bench.work()
    assert len(messages(bench)) == 10
    assert bench.run(execution_id).phase is Phase.COMPLETED
    assert len(messages(bench)) == 20


def test_sends_that_begin_on_time_count_at_their_planned_instant(
    bench: Bench, cadence_database: Database
) -> None:
    execution_id = bench.start()
    bench.now = NOON + 4 * MINUTE
    bench.run(execution_id)

    assert history(cadence_database) == [(3, NOON, 10)]


def test_what_was_claimed_before_a_crash_is_sent_again_under_the_same_tag(bench: Bench) -> None:
    execution_id = _left_in_doubt_by_a_crash(bench, {})

    execution = bench.run(execution_id)

    assert execution.phase is Phase.COMPLETED
    funnel = bench.funnel(execution_id)
    assert (funnel["sent"], funnel["resentInDoubt"], funnel["inDoubt"]) == (10, 3, 0)
    tags = [m["displayTag"] for m in messages(bench)]
    assert len(set(tags)) == len(tags) == 10


def test_what_was_claimed_before_a_crash_is_left_alone_where_the_policy_says_so(
    bench: Bench,
) -> None:
    execution_id = _left_in_doubt_by_a_crash(bench, {"inDoubt": "skip"})

    bench.run(execution_id)

    funnel = bench.funnel(execution_id)
    assert (funnel["sent"], funnel["resentInDoubt"], funnel["inDoubt"]) == (7, 0, 3)
    assert len(messages(bench)) == 7


def test_what_fails_when_sent_again_stays_in_doubt_and_uses_up_its_slot(
    bench: Bench, cadence_database: Database
) -> None:
    execution_id = _left_in_doubt_by_a_crash(bench, {})
    bench.change(transport=FileTransport(Path("/dev/full")))

    bench.run(execution_id)

    funnel = bench.funnel(execution_id)
    assert (funnel["sent"], funnel["failed"], funnel["inDoubt"]) == (0, 7, 3)
    assert history(cadence_database) == [(3, NOON, 3)], "the first attempt may have arrived"


def _left_in_doubt_by_a_crash(bench: Bench, settings: dict[str, Any]) -> str:
    """Return an execution of which three users are claimed and never settled."""
    execution_id = bench.start(settings=settings)
    with bench.database.transaction() as connection:
        page = LedgerPage(execution_id, 1, is_test=False)
        claim_users(connection, page, {UUID(int=n): None for n in (2, 5, 7)}, NOON)
    return execution_id


def test_without_cadence_everybody_is_sent_to_and_that_is_marked_and_told_later(
    bench: Bench, cadence_database: Database
) -> None:
    well = bench.context.cadence
    bench.change(cadence=AWAY)
    execution_id = bench.start()
    execution = bench.run(execution_id)

    assert execution.phase is Phase.COMPLETED
    assert "did not answer" in (execution.uncapped_reason or "")
    assert bench.funnel(execution_id)["sent"] == 10
    assert "goes out without its cadence check" in bench.log(execution_id)
    assert history(cadence_database) == []
    bench.now += MINUTE
    assert track_sends(bench.context) == 0
    bench.change(cadence=well)
    assert track_sends(bench.context) == 1, "one batch"
    assert track_sends(bench.context) == 0
    assert history(cadence_database) == [(3, NOON, 10)]


def test_without_cadence_nobody_is_sent_to_where_the_policy_is_closed(bench: Bench) -> None:
    bench.change(cadence=AWAY)

    execution = bench.run(bench.start(settings={"failPolicy": "closed"}))

    assert execution.phase is Phase.FAILED
    assert "the automation sends nothing unchecked" in (execution.reason or "")
    assert messages(bench) == []


def test_a_cadence_that_lost_its_rules_is_marked_as_open(
    bench: Bench, cadence_database: Database
) -> None:
    with cadence_database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE cadence_rules SET is_active = false")

    execution = bench.run(bench.start())

    assert execution.phase is Phase.COMPLETED
    assert execution.uncapped_reason


def test_tests_go_to_the_test_users_with_the_variables_of_a_real_row(bench: Bench) -> None:
    with bench.database.transaction() as connection:
        upsert_devices(connection, [Device("alices", ALICE), Device("bobs", BOB)], NOON)
    execution_id = bench.start(
        settings={
            "testUserIds": [str(ALICE), str(BOB), "nobody"],
            "dryRunFirst": True,
            "safeguards": {"requireTestFirst": True},
            "cancellationWindowMinutes": 5,
        }
    )
    bench.work()

    assert [(m["userId"], m["title"], m["deviceToken"]) for m in messages(bench)] == [
        (str(ALICE), "Hi Name 1", "alices"),
        (str(BOB), "Hi Name 1", "bobs"),
    ]
    assert bench.execution(execution_id).pushes[0].status is PushStatus.TEST_SENT
    assert "'nobody' is no user id" in bench.log(execution_id)


def test_tests_count_on_layer_4_and_are_never_sent_twice(
    bench: Bench, cadence_database: Database
) -> None:
    with bench.database.transaction() as connection:
        upsert_devices(connection, [Device("alices", ALICE)], NOON)
    execution_id = bench.start(settings={"testUserIds": [str(ALICE)], "dryRunFirst": True})

    bench.run(execution_id)

    assert [count for layer, _, count in history(cadence_database) if layer == 4] == [1]
    assert [m["userId"] for m in messages(bench)].count(str(ALICE)) == 1


def test_without_test_users_the_scripts_test_rows_are_used(bench: Bench) -> None:
    live = a_script(f"{BOB},Bob,bobs")
    test = a_script(f"{ALICE},Tester,alices").replace("/all.csv", "/all_TEST.csv")
    bench.write_script(f"{live}\n{test}")
    execution_id = bench.start(settings={"dryRunFirst": True, "cancellationWindowMinutes": 5})
    bench.work()

    assert [(m["userId"], m["title"]) for m in messages(bench)] == [(str(ALICE), "Hi Tester")]
    assert bench.run(execution_id).phase is Phase.COMPLETED
    assert [m["userId"] for m in messages(bench)] == [str(ALICE), str(BOB)]


def test_whoever_gets_none_is_counted_with_the_reason(bench: Bench) -> None:
    bench.write_script(
        a_script(
            f"{UUID(int=1)},Ann,t1,seeds",
            f"{UUID(int=2)},,t2,seeds",
            f"{UUID(int=3)},Cid,,seeds",
            f"{UUID(int=4)},Dan,t4,ja va",
            f"{UUID(int=5)},Eve,t5,seeds",
            f"{UUID(int=5)},Eve,t5,seeds",
            "not-an-id,Fay,t6,seeds",
            header="user_id,first_name,device_token,page",
        )
    )
    execution_id = bench.start(pushes=[{"deepLink": "https://garden.example/[[var:page]]"}])

    assert bench.run(execution_id).phase is Phase.COMPLETED
    funnel = bench.funnel(execution_id)
    states = {d["user_id"].int: (d["state"], d["reason"]) for d in bench.deliveries(execution_id)}
    assert states[1] == ("sent", None)
    assert states[2][0] == "missing_variable"
    assert "first_name" in states[2][1]
    assert states[3] == ("no_token", "no living device token")
    assert states[4][0] == "sent", "values are escaped within a link"
    assert (funnel["generated"], funnel["valid"], funnel["distinct"]) == (7, 6, 5)
    assert (funnel["noToken"], funnel["missingVariable"], funnel["sent"]) == (1, 1, 3)
    assert [b["problem"] for b in bench.execution(execution_id).pushes[0].audience.bad_rows] == [  # type: ignore[union-attr]  # it has one
        f"duplicate: {UUID(int=5)}",
        "invalid_uuid: 'not-an-id'",
    ]


def test_where_caps_hold_back_whoever_has_a_device_nothing_has_failed(bench: Bench) -> None:
    bench.write_script(a_script(f"{ALICE},Alice,t1", f"{BOB},Bob,"))
    first = bench.run(bench.start())
    bench.now += MINUTE

    second = bench.run(bench.start())

    assert (first.phase, second.phase) == (Phase.COMPLETED, Phase.COMPLETED)
    funnel = bench.funnel(second.id)
    assert (funnel["sent"], funnel["excluded"], funnel["noToken"]) == (0, 1, 1)


def test_where_nobody_has_a_device_the_push_has_failed(bench: Bench) -> None:
    bench.write_script(a_script(f"{ALICE},Alice,", f"{BOB},Bob,"))

    execution = bench.run(bench.start())

    assert execution.phase is Phase.FAILED
    assert "No message of push 1 was delivered" in (execution.reason or "")


def test_a_deep_link_outside_the_allowed_hosts_reaches_nobody(bench: Bench) -> None:
    bench.change(limits=Limits(links=LinkPolicy(hosts=frozenset({"garden.example"}))))

    execution = bench.run(bench.start(pushes=[{"deepLink": "https://evil.example/x"}]))

    assert execution.phase is Phase.FAILED
    assert bench.funnel(execution.id)["badDeepLink"] == 10
    assert "leads to 'evil.example'; allowed: garden.example" in bench.log(execution.id)


def test_an_audience_that_was_changed_after_its_test_is_not_sent(bench: Bench) -> None:
    execution_id = bench.start(settings={"cancellationWindowMinutes": 5})
    bench.work()
    audience = bench.execution(execution_id).pushes[0].audience
    assert audience
    with (bench.folder / audience.file).open("a") as file:
        file.write('{"userId": "00000000-0000-0000-0000-00000000ffff", "variables": {}}\n')

    execution = bench.run(execution_id)

    assert execution.phase is Phase.FAILED
    assert "has changed or is gone" in (execution.reason or "")
    assert messages(bench) == []


@pytest.mark.parametrize("where", ["automation", "setting"])
def test_a_too_large_audience_fails_before_anybody_is_sent_to(bench: Bench, where: str) -> None:
    if where == "setting":
        bench.change(limits=Limits(max_audience_size=9))
    settings = {"maxAudienceSize": 9} if where == "automation" else {}

    execution = bench.run(bench.start(settings=settings))

    assert execution.phase is Phase.FAILED
    assert "more than the 9 users allowed" in (execution.reason or "")
    assert messages(bench) == []


@pytest.mark.slow
def test_a_script_that_writes_a_million_rows_ends_in_a_clear_message(bench: Bench) -> None:
    bench.write_script(
        "import os\n"
        "with open(os.environ['OUTPUT_PATH'] + '/all.csv', 'w') as f:\n"
        "    f.write('user_id,first_name,device_token\\n')\n"
        "    for n in range(1_000_000):\n"
        "        f.write(f'{n:08x}-0000-4000-8000-000000000000,A,t{n}\\n')\n"
    )

    execution = bench.run(bench.start())

    assert execution.phase is Phase.FAILED
    assert "all.csv has more than the 100000 users allowed" in (execution.reason or "")
    assert messages(bench) == []
    assert list((bench.folder / "executions").rglob("audience-*")) == [], "nothing half-written"


def test_a_step_that_crashes_is_tried_again_and_given_up_in_the_end(bench: Bench) -> None:
    (bench.folder / "executions").write_text("in the way")

    execution = bench.run(bench.start())

    assert execution.phase is Phase.FAILED
    assert "generate_audience failed 3 times" in (execution.reason or "")


def test_an_engine_that_shuts_down_gives_back_what_it_had_not_sent(bench: Bench) -> None:
    execution_id = bench.start(parameters={"users": 40})
    bench.is_shutting_down = lambda: len(messages(bench)) >= 15
    bench.work()

    assert len(messages(bench)) == 15
    assert bench.funnel(execution_id)["inFlight"] == 0
    bench.is_shutting_down = lambda: False
    assert bench.run(execution_id).phase is Phase.COMPLETED
    assert sorted(m["userId"] for m in messages(bench)) == [str(UUID(int=n)) for n in range(1, 41)]
    assert bench.funnel(execution_id)["resentInDoubt"] == 0


def test_a_stop_between_two_pushes_keeps_the_second_from_anybody(bench: Bench) -> None:
    execution_id = bench.start(pushes=[{}, {"timing": {"delayAfterPrevious": 45}}])
    bench.work()
    bench.now += timedelta(seconds=1)
    bench.work()

    receipt = stop_execution(bench.database, execution_id, "Enough", bench.now)
    bench.now = NOON + 60 * MINUTE
    bench.work()

    assert [f.sent for f in receipt.funnels.values()] == [10, 0]
    assert len(messages(bench)) == 10
    assert bench.execution(execution_id).phase is Phase.CANCELLED
    assert [p.status for p in bench.execution(execution_id).pushes] == [
        PushStatus.SENT,
        PushStatus.CANCELLED,
    ]


def test_a_stopped_send_gives_its_slots_back(bench: Bench, cadence_database: Database) -> None:
    first = bench.start(id="first", parameters={"users": 40})
    bench.work_until_sent(15)
    stop_execution(bench.database, first, "Enough", bench.now)
    assert close_batches(bench.context) == 0, "a worker may still be at it"
    bench.now += timedelta(seconds=3)
    assert close_batches(bench.context) == 2
    assert close_batches(bench.context) == 0

    second = bench.start(id="second", parameters={"users": 40})
    bench.run(second)

    sent = [m["userId"] for m in messages(bench)]
    assert len(sent) == len(set(sent)) == 40
    assert sum(count for _, _, count in history(cadence_database)) == 40


def test_a_test_that_a_crash_and_a_stop_left_claimed_ends_in_doubt_and_is_told(
    bench: Bench, cadence_database: Database
) -> None:
    execution_id = bench.start(settings={"testUserIds": [str(ALICE)]})
    with bench.database.transaction() as connection:
        page = LedgerPage(execution_id, 1, is_test=True)
        claim_users(connection, page, {ALICE: None}, NOON)
    stop_execution(bench.database, execution_id, "Enough", bench.now)
    bench.now += MINUTE

    assert close_batches(bench.context) == 1

    with bench.database.transaction() as connection:
        assert select_states(connection, page) == {ALICE: "in_doubt"}
    assert history(cadence_database) == [(4, bench.now, 1)]
    assert close_batches(bench.context) == 0


def test_two_automations_at_once_share_one_cap(bench: Bench) -> None:
    first, second = bench.start(id="first"), bench.start(id="second")

    for execution_id in (first, second):
        bench.run(execution_id)

    funnels = [bench.funnel(execution_id) for execution_id in (first, second)]
    assert sorted(f["sent"] for f in funnels) == [0, 10]
    assert max(Counter(m["userId"] for m in messages(bench)).values()) == 1


def test_what_stays_in_doubt_uses_up_its_slot(bench: Bench, cadence_database: Database) -> None:
    execution_id = _left_in_doubt_by_a_crash(bench, {"inDoubt": "skip"})

    bench.run(execution_id)

    assert history(cadence_database) == [(3, NOON, 10)]


def test_an_execution_keeps_the_automation_that_it_started_with(bench: Bench) -> None:
    execution_id = bench.start(settings={"cancellationWindowMinutes": 5}, name="As it was")

    assert bench.run(execution_id).automation.name == "As it was"


def test_what_a_done_batch_came_to_is_kept_with_it_and_not_counted_again(
    bench: Bench, cadence_database: Database
) -> None:
    execution_id = bench.start()
    bench.run(execution_id)
    counted = bench.funnel(execution_id)

    with bench.database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM deliveries WHERE execution_id = %s", [execution_id])

    assert counted["sent"] == 10
    assert bench.funnel(execution_id) == counted
