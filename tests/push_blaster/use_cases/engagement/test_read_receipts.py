"""The keys of receipts in the memory of a process: new ones are found, old ones stay valid."""

import pytest

from chassis.clock import utc_now
from chassis.postgres import Database
from chassis.rows import execute
from push_blaster.adapters.engagement.receipt_keys import rotate_receipt_keys, select_receipt_keys
from push_blaster.domain.engagement.event import Refusal, ReportRefusedError
from push_blaster.use_cases.engagement.read_receipts import ReceiptReader
from tests.people import ALICE


def write(database: Database) -> str:
    with database.transaction() as connection:
        keys = select_receipt_keys(connection, utc_now())
    return keys.writer(7, 1, is_test=False, is_dry_run=False)(ALICE, 0)


def refusal(reader: ReceiptReader, text: str) -> Refusal:
    with pytest.raises(ReportRefusedError) as refused:
        reader(text)
    return refused.value.reason


def test_a_rotation_is_noticed_and_receipts_of_the_key_before_stay_valid(
    database: Database,
) -> None:
    reader = ReceiptReader(database, look_again_s=0)
    before = write(database)
    reader(before)

    with database.transaction() as connection:
        rotate_receipt_keys(connection, utc_now())
    after = write(database)

    assert reader(after) == reader(before)


def test_a_number_that_is_given_again_is_the_new_key(database: Database) -> None:
    reader = ReceiptReader(database, look_again_s=0)
    old = write(database)
    reader(old)
    with database.transaction() as connection:
        execute(connection, "DELETE FROM receipt_keys")

    new = write(database)

    assert reader(new).user_id == ALICE
    assert refusal(reader, old) is Refusal.FORGED


def test_a_flood_of_forged_receipts_asks_the_database_only_now_and_then(
    database: Database,
) -> None:
    reader = ReceiptReader(database, look_again_s=3_600)
    reader(write(database))
    with database.transaction() as connection:
        execute(connection, "DELETE FROM receipt_keys")

    assert refusal(reader, write(database)) is Refusal.FORGED
    assert refusal(reader, "x") is Refusal.MALFORMED


def test_receipts_of_keys_that_are_forgotten_are_refused_by_a_process_that_knew_them(
    database: Database,
) -> None:
    reader = ReceiptReader(database, look_again_s=0, known_for_s=0)
    oldest = write(database)
    with database.transaction() as connection:
        rotate_receipt_keys(connection, utc_now())
    older = write(database)
    reader(oldest)

    with database.transaction() as connection:
        rotate_receipt_keys(connection, utc_now(), forget_earlier=True)

    assert reader(write(database)).user_id == ALICE
    assert refusal(reader, oldest) is Refusal.UNKNOWN_KEY
    assert refusal(reader, older) is Refusal.UNKNOWN_KEY
