"""A user is found in a frozen audience of any size."""

from pathlib import Path

import pytest

from push_blaster.adapters.users.missed_sends import PIECE, has_user
from tests.people import ALICE, BOB


@pytest.mark.parametrize("before", [0, 10, PIECE - 60, PIECE - 20, PIECE])
def test_a_user_is_found_wherever_the_row_stands(tmp_path: Path, before: int) -> None:
    path = tmp_path / "audience.jsonl"
    path.write_bytes(b" " * before + b'{"userId":"%s"}' % str(ALICE).encode())

    assert has_user(path, ALICE)
    assert not has_user(path, BOB)


def test_a_file_that_is_empty_or_gone_has_nobody(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    assert not has_user(tmp_path / "empty", ALICE)
    assert not has_user(tmp_path / "gone", ALICE)
