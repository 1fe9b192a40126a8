"""The rule for answers: whatever stands in them, it is read, in bounds, and costs one message."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_blaster.adapters.transports.answers import MAX_PAUSE_S, judge_each, read_retry_after
from push_blaster.domain.delivery.message import Delivery, Outcome

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "pause"),
    [
        ("7", 7.0),
        (" 120 ", 120.0),
        ("Mon, 30 Nov 2026 12:01:00 GMT", 60.0),
        ("Mon, 30 Nov 2026 11:00:00 GMT", 0.0),
        ("999999999999999", MAX_PAUSE_S),
        ("9" * 400, None),
        ("\N{SUPERSCRIPT TWO}", None),
        ("\N{ARABIC-INDIC DIGIT THREE}", None),
        ("-5", None),
        ("1e400", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_PAUSE_S),
        ("Fri, 31 Dec 9999 23:59:59 -9999", None),
        ("Fri, 31 Dec 1999 23:59:59 +99999999999999999999", None),
        ("Mon, 99 Foo 0000 99:99:99 GMT", None),
        ("", None),
        ("soon", None),
    ],
)
def test_retry_after_is_read_within_bounds(value: str, pause: float | None) -> None:
    assert read_retry_after(value, NOON) == pause


@given(st.text(max_size=60))
def test_nothing_that_stands_in_retry_after_raises(value: str) -> None:
    pause = read_retry_after(value, NOON)

    assert pause is None or 0 <= pause <= MAX_PAUSE_S


def test_an_answer_that_breaks_its_judge_costs_its_own_message() -> None:
    def judge(number: int) -> Delivery:
        if number == 2:
            raise OverflowError("Python int too large to convert to C int")
        return Delivery(UUID(int=number), Outcome.SENT)

    deliveries = list(judge_each([1, 2, 3], judge, lambda number: UUID(int=number)))

    assert [d.outcome for d in deliveries if d] == [Outcome.SENT, Outcome.IN_DOUBT, Outcome.SENT]
    assert [d.user_id.int for d in deliveries if d] == [1, 2, 3]
