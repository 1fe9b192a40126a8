"""What the count of a night calls wrong."""

import pytest

from tests.operate.sender import Sent, find_faults

COMPLETED = Sent({"id": "night-0", "phase": "completed", "reason": None}, first=1, users=2)
ALL = {(1, "a"): 1, (2, "b"): 1}


@pytest.mark.parametrize(
    ("received", "doubted", "fault"),
    [
        ({(1, "a"): 1}, (), "night-0: 1 users got nothing, such as 2"),
        ({**ALL, (1, "c"): 1}, (), "user 1 got 2 different messages"),
        ({**ALL, (1, "c"): 1}, (1,), "user 1 got 2 different messages"),
        ({**ALL, (2, "b"): 2}, (1,), "user 2 got a message twice"),
    ],
)
def test_who_gets_too_little_or_too_much_is_named(
    received: dict[tuple[int, str], int], doubted: tuple[int, ...], fault: str
) -> None:
    assert find_faults([COMPLETED], received, doubted) == [fault]


def test_one_message_each_is_right_and_one_in_doubt_may_come_twice() -> None:
    assert find_faults([COMPLETED], ALL, ()) == []
    assert find_faults([COMPLETED], {**ALL, (2, "b"): 2}, (2,)) == []


def test_an_execution_that_did_not_complete_is_named_with_its_reason() -> None:
    failed = Sent({"id": "night-0", "phase": "failed", "reason": "no disk"}, first=1, users=2)

    assert find_faults([failed], ALL, ()) == ["night-0 is failed: no disk"]
