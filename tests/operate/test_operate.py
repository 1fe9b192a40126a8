"""A short night in every run of the tests; `make operate` is the whole one."""

from pathlib import Path

from tests.operate.night import live_through, write_table
from tests.operate.steps import SHORT_NIGHT


def test_whatever_an_operator_does_each_user_gets_each_push_once(place: Path) -> None:
    place.mkdir(mode=0o711)

    seen = live_through(place, SHORT_NIGHT, 80, print)

    table = write_table(seen)
    assert [step.name for step in SHORT_NIGHT] == [row.name for row in seen[:-1]], table
    assert all(row.sent for row in seen[:-1]), table
