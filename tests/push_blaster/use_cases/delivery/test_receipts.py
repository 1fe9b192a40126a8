"""Every message carries a receipt, and every push that begins is written down for its results."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from chassis.rows import execute, fetch_all, fetch_value
from push_blaster.adapters.devices.device_fields import Device
from push_blaster.adapters.devices.device_table import upsert_devices
from push_blaster.adapters.engagement.receipt_keys import rotate_receipt_keys, select_receipt_keys
from push_blaster.adapters.executions.execution_removal import delete_execution
from push_blaster.cli import main
from push_blaster.domain.engagement.receipt import Receipt, ReceiptError, ReceiptKeys
from push_blaster.domain.executions.modes import Mode
from tests.builders import NOON
from tests.people import ALICE, BOB
from tests.push_blaster.bench import Bench, messages
from tests.push_blaster.settings import environ_for

AUDIENCE = f"user_id,first_name,device_token\n{ALICE},A,ok-a\n{BOB},B,ok-b"

TESTED = {"testUserIds": [str(ALICE)], "safeguards": {"requireTestFirst": True}}


@pytest.fixture
def bench(bench: Bench) -> Bench:
    bench.write_script(
        f"import os\nopen(os.environ['OUTPUT_PATH'] + '/all.csv', 'w').write({AUDIENCE!r})"
    )
    with bench.database.transaction() as connection:
        upsert_devices(connection, [Device("ok-a", ALICE)], bench.now)
    return bench


def receipts(bench: Bench) -> list[Receipt]:
    with bench.database.transaction() as connection:
        keys = select_receipt_keys(connection, bench.now)
    return [keys.read(message["data"]["receipt"]) for message in messages(bench)]


def rows(bench: Bench) -> list[dict[str, Any]]:
    sql = "SELECT * FROM result_pushes ORDER BY execution_number, position"
    with bench.database.transaction() as connection:
        return fetch_all(connection, sql, make=dict, by_name=True)


def test_a_receipt_names_execution_push_variant_and_user(bench: Bench) -> None:
    variants = [{"id": "a", "title": "A"}, {"id": "b", "title": "B"}]
    pushes = [
        {"title": "One", "body": "B", "variants": variants},
        {"title": "Two", "body": "B", "layerId": 2, "timing": {"delayAfterPrevious": 5}},
    ]

    execution = bench.run(bench.start(pushes=pushes))

    found = receipts(bench)
    places = {
        str(d["user_id"]): "ab".index(d["variant"]) + 1 for d in first_push(bench, execution.id)
    }
    assert {(r.position, r.user_id) for r in found} == {
        (p, u) for p in (1, 2) for u in (ALICE, BOB)
    }
    assert {r.execution_number for r in found} == {execution.number}
    assert all(r.variant == (places[str(r.user_id)] if r.position == 1 else 0) for r in found)
    assert all(r.counts for r in found)
    one, two = rows(bench)
    assert (one["execution_number"], one["execution_id"]) == (execution.number, execution.id)
    assert (one["position"], one["variants"], one["layer_id"]) == (1, ["a", "b"], 3)
    assert (two["position"], two["variants"], two["layer_id"]) == (2, [], 2)
    assert two["sent_at"] - one["sent_at"] == timedelta(minutes=5)
    assert one["is_counted"]
    assert one["week"].weekday() == 0


def first_push(bench: Bench, execution_id: str) -> list[dict[str, Any]]:
    return [d for d in bench.deliveries(execution_id) if d["position"] == 1]


@pytest.mark.parametrize("mode", [Mode.TEST_LIVE_SEND, Mode.TEST_SCHEDULED_SEND])
def test_messages_of_tests_never_count(bench: Bench, mode: Mode) -> None:
    bench.run(bench.start(mode, settings=TESTED))

    assert receipts(bench)
    assert not any(receipt.counts for receipt in receipts(bench))
    assert not any(row["is_counted"] for row in rows(bench))


def test_a_live_send_and_its_test_are_told_apart(bench: Bench) -> None:
    bench.run(bench.start(settings=TESTED))

    assert sorted((r.user_id, r.is_test) for r in receipts(bench)) == sorted(
        [(ALICE, True), (ALICE, False), (BOB, False)]
    )


def test_what_was_written_down_outlives_the_execution(bench: Bench) -> None:
    execution = bench.run(bench.start())

    with bench.database.transaction() as connection:
        execute(connection, "UPDATE executions SET ended_at = %s", (NOON - timedelta(days=400),))
    with bench.database.transaction() as connection:
        assert delete_execution(connection, execution.id, [execution.mode])

    assert [row["execution_id"] for row in rows(bench)] == [execution.id]


def test_with_other_texts_comparisons_begin_anew(bench: Bench) -> None:
    texts = [
        {"title": "One", "body": "B"},
        {"title": "One", "body": "B"},
        {"title": "Two", "body": "B"},
    ]
    for text in texts:
        bench.run(bench.start(pushes=[text]))
        bench.now += timedelta(days=1)

    first, again, changed = [row["texts_digest"] for row in rows(bench)]
    assert first == again != changed


def test_a_rotation_leaves_earlier_receipts_valid_until_no_event_may_come(bench: Bench) -> None:
    bench.run(bench.start())
    earlier = receipts(bench)

    def rotate(days: int) -> tuple[int, ReceiptKeys]:
        now = bench.now + timedelta(days=days)
        with bench.database.transaction() as connection:
            return rotate_receipt_keys(connection, now), select_receipt_keys(connection, now)

    second, keys = rotate(30)
    assert (set(keys.keys), keys.current) == ({0, second}, second)
    assert receipts(bench) == earlier
    third, keys = rotate(89)
    assert set(keys.keys) == {0, second, third}
    _, keys = rotate(91)
    assert 0 not in set(keys.keys) - {keys.current}
    assert {second, third} < set(keys.keys)


def test_the_newest_key_signs_also_after_the_clock_was_set_back(bench: Bench) -> None:
    with bench.database.transaction() as connection:
        select_receipt_keys(connection, bench.now)
        for now in (bench.now, bench.now - timedelta(hours=1), bench.now - timedelta(days=70)):
            made = rotate_receipt_keys(connection, now)
            assert select_receipt_keys(connection, now).current == made


def test_executions_have_numbers_of_their_own(bench: Bench) -> None:
    first = bench.run(bench.start())
    bench.now += timedelta(days=1)
    second = bench.run(bench.start())

    assert 0 < first.number < second.number < 2**53, "exact in JavaScript, too"


def test_a_restored_database_never_uses_a_number_again(bench: Bench) -> None:
    """The sequence of a backup is behind, but the time, which is in the number, is not."""

    def read_second() -> int:
        with bench.database.transaction() as connection:
            sql = "SELECT extract(epoch FROM clock_timestamp())::bigint"
            return int(fetch_value(connection, sql))

    earliest = read_second() - 1
    number = bench.run(bench.start()).number
    latest = read_second()

    assert earliest <= number >> 20 <= latest


def test_a_push_that_an_older_engine_began_is_written_down_with_its_next_batch(
    bench: Bench,
) -> None:
    bench.change(limits=replace(bench.context.limits, batch_size=1))
    execution_id = bench.start()
    bench.work_until_sent(1)
    (begun,) = rows(bench)
    with bench.database.transaction() as connection:
        execute(connection, "DELETE FROM result_pushes")

    bench.run(execution_id)

    assert rows(bench) == [begun]


def test_the_command_rotates_the_key_and_says_so(bench: Bench, push_url: str) -> None:
    environ = environ_for(push_url, bench.folder)
    bench.run(bench.start())
    before = receipts(bench)

    done = CliRunner(env=environ).invoke(main, ["rotate-receipt-key"])
    bench.now += timedelta(days=20)
    bench.run(bench.start())

    assert done.exit_code == 0, done.output
    assert "signs new receipts" in done.output
    assert receipts(bench)[: len(before)] == before
    texts = [message["data"]["receipt"] for message in messages(bench)]
    assert texts[0][:4] != texts[-1][:4], "another key"


def test_the_command_forgets_earlier_keys_if_asked(bench: Bench, push_url: str) -> None:
    bench.run(bench.start())

    asked = ["rotate-receipt-key", "--forget-earlier"]
    done = CliRunner(env=environ_for(push_url, bench.folder)).invoke(main, asked)

    assert "Earlier keys are forgotten." in done.output
    with bench.database.transaction() as connection:
        keys = select_receipt_keys(connection, bench.now)
    text = messages(bench)[0]["data"]["receipt"]
    with pytest.raises(ReceiptError, match="unknown key"):
        keys.read(text)
