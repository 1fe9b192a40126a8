"""Receipts: whoever has one proves that we sent this message to this user, and nothing else."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_blaster.domain.engagement.receipt import (
    RECEIPT_LENGTH,
    Fault,
    Receipt,
    ReceiptError,
    ReceiptKeys,
)
from tests.people import ALICE

KEYS = ReceiptKeys({3: b"k" * 32, 7: b"n" * 32}, 7)
A_RECEIPT = KEYS.writer(41, 2, is_test=False, is_dry_run=False)(ALICE, 1)


@given(
    number=st.integers(1, 2**63 - 1),
    position=st.integers(1, 2**15),
    variant=st.integers(0, 255),
    user_id=st.uuids(),
    is_test=st.booleans(),
    is_dry_run=st.booleans(),
)
def test_a_receipt_says_what_was_written(
    number: int, position: int, variant: int, user_id: UUID, *, is_test: bool, is_dry_run: bool
) -> None:
    text = KEYS.writer(number, position, is_test=is_test, is_dry_run=is_dry_run)(user_id, variant)

    assert len(text) == RECEIPT_LENGTH <= 64
    assert KEYS.read(text) == Receipt(
        execution_number=number,
        position=position,
        variant=variant,
        user_id=user_id,
        is_test=is_test,
        is_dry_run=is_dry_run,
    )


def test_only_live_messages_count() -> None:
    def counts(*, is_test: bool, is_dry_run: bool) -> bool:
        text = KEYS.writer(1, 1, is_test=is_test, is_dry_run=is_dry_run)(ALICE, 0)
        return KEYS.read(text).counts

    assert counts(is_test=False, is_dry_run=False)
    assert not counts(is_test=True, is_dry_run=False)
    assert not counts(is_test=False, is_dry_run=True)


def test_receipts_of_an_earlier_key_stay_valid() -> None:
    earlier = ReceiptKeys(KEYS.keys, 3).writer(41, 2, is_test=False, is_dry_run=False)(ALICE, 1)

    assert earlier != A_RECEIPT
    assert KEYS.read(earlier) == KEYS.read(A_RECEIPT)


@given(place=st.integers(0, RECEIPT_LENGTH - 1), other=st.characters(codec="ascii"))
def test_a_receipt_with_another_character_is_not_ours(place: int, other: str) -> None:
    text = A_RECEIPT[:place] + other + A_RECEIPT[place + 1 :]

    if text != A_RECEIPT:
        with pytest.raises(ReceiptError):
            KEYS.read(text)


def test_a_receipt_with_another_bit_is_not_ours_and_says_why() -> None:
    whole = urlsafe_b64decode(A_RECEIPT)

    def fault(bit: int) -> Fault:
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ReceiptError) as refused:
            KEYS.read(urlsafe_b64encode(changed).decode())
        return refused.value.fault

    faults = [fault(bit) for bit in range(8 * len(whole))]

    # Bits 0 and 1 are flags, the rest of the byte is the version; the next byte names the key.
    assert faults[:8] == [Fault.FORGED] * 2 + [Fault.MALFORMED] * 6
    assert faults[8:16] == [Fault.UNKNOWN_KEY] * 2 + [Fault.FORGED] + [Fault.UNKNOWN_KEY] * 5
    assert set(faults[16:]) == {Fault.FORGED}


@pytest.mark.parametrize("length", range(RECEIPT_LENGTH))
def test_a_receipt_that_was_cut_is_malformed(length: int) -> None:
    with pytest.raises(ReceiptError, match="malformed"):
        KEYS.read(A_RECEIPT[:length])


@given(text=st.text(max_size=200))
def test_no_text_breaks_the_reading(text: str) -> None:
    with pytest.raises(ReceiptError):
        KEYS.read(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", Fault.MALFORMED),
        (A_RECEIPT[:-1], Fault.MALFORMED),
        (A_RECEIPT + "A", Fault.MALFORMED),
        (A_RECEIPT + "\n", Fault.MALFORMED),
        ("é" * RECEIPT_LENGTH, Fault.MALFORMED),
        (A_RECEIPT[:-1] + "+", Fault.MALFORMED),
        ("_" + A_RECEIPT[1:], Fault.MALFORMED),
        ("A" * RECEIPT_LENGTH, Fault.MALFORMED),
        ("EA" + "A" * (RECEIPT_LENGTH - 2), Fault.UNKNOWN_KEY),
        (A_RECEIPT[:10] + "AAAA" + A_RECEIPT[14:], Fault.FORGED),
    ],
)
def test_what_is_no_receipt_of_ours_is_named(text: str, fault: Fault) -> None:
    with pytest.raises(ReceiptError) as refused:
        KEYS.read(text)

    assert refused.value.fault is fault


def test_the_key_of_another_installation_forges_nothing() -> None:
    theirs = ReceiptKeys({7: b"x" * 32}, 7).writer(41, 2, is_test=False, is_dry_run=False)

    with pytest.raises(ReceiptError, match="forged"):
        KEYS.read(theirs(ALICE, 1))
